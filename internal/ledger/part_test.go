package ledger_test

import (
	"context"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dailies/internal/ledger"
	"dailies/pipeline"
)

func lockPart(t *testing.T, b ledger.Blobs, who ledger.Holder, i, n int) (*ledger.Lock, error) {
	t.Helper()
	return ledger.Open(b, live).Lock(t.Context(), who, ledger.LockOptions{Part: ledger.Part{I: i, N: n}, Alive: alive})
}

func mustLockPart(t *testing.T, b ledger.Blobs, who ledger.Holder, i, n int) *ledger.Lock {
	t.Helper()
	k, err := lockPart(t, b, who, i, n)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestPartsAreHeldSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		one, two := mustLockPart(t, b, here, 1, 2), mustLockPart(t, b, there, 2, 2)
		other := holder("run-c", "farm-3", 300)

		_, err := lockPart(t, b, other, 2, 2)
		wantLocked(t, err, "run-b", "part 2 of 2", "mem:lock-2-of-2.json")
		_, err = lock(t, b, other)
		wantLocked(t, err, "part 1 of 2", "mem:lock-1-of-2.json")
		_, err = lockPart(t, b, other, 3, 5)
		wantLocked(t, err, "part 1 of 2")
		for _, left := range []string{"lock.json", "lock-3-of-5.json"} {
			if b.get(left) != "" {
				t.Errorf("%s stays of a run that was refused", left)
			}
		}
		pass(10 * time.Minute)
		if !one.Held() || !two.Held() {
			t.Error("a part was lost to runs that were refused")
		}
		release(t, one)
		_, err = lock(t, b, other)
		wantLocked(t, err, "part 2 of 2")
		release(t, two)

		whole := mustLock(t, b, other)
		_, err = lockPart(t, b, here, 1, 2)
		wantLocked(t, err, "run-c", "this batch", "mem:lock.json")
		release(t, whole)
		// 1/1 is the whole by another name.
		whole = mustLockPart(t, b, other, 1, 1)
		_, err = lock(t, b, here)
		wantLocked(t, err, "run-c", "mem:lock.json")
		release(t, whole)
	})
}

// TestWholeAndPartBeginTogether: whichever way their steps fall, one of them works and one of them does not.
func TestWholeAndPartBeginTogether(t *testing.T) {
	for name, slow := range map[string]string{"": "", "whole writes late": "write lock.json", "part writes late": "write lock-1-of-3.json",
		"both written before either looks": "list lock"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &slowMemory{slow: slow}
				var locks [2]*ledger.Lock
				var errs [2]error
				var both sync.WaitGroup
				both.Go(func() { locks[0], errs[0] = lock(t, b, here) })
				both.Go(func() { locks[1], errs[1] = lockPart(t, b, there, 1, 3) })
				both.Wait()
				won := 0
				for i, k := range locks {
					if k != nil {
						won++
						defer release(t, k)
					} else {
						wantLocked(t, errs[i])
					}
				}
				if won != 1 {
					t.Errorf("%d of the two hold the batch: %v, %v", won, errs[0], errs[1])
				}
			})
		})
	}
}

// slowMemory takes a second for one kind of operation.
type slowMemory struct {
	memory
	slow string
}

func (m *slowMemory) pause(op string) {
	if op == m.slow {
		<-time.After(time.Second)
	}
}

func (m *slowMemory) WriteRecord(ctx context.Context, key string, data []byte, version string) (string, error) {
	m.pause("write " + key)
	return m.memory.WriteRecord(ctx, key, data, version)
}

func (m *slowMemory) List(ctx context.Context, prefix string) iter.Seq2[pipeline.Object, error] {
	m.pause("list " + prefix)
	return m.memory.List(ctx, prefix)
}

// TestDeadPartsAreSwept: parts that ended without a word do not stand in the way of the whole, nor stay for ever.
func TestDeadPartsAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		k := mustLockPart(t, b, here, 2, 2)
		note := b.get("lock-2-of-2.json")
		release(t, k)
		b.set("lock-2-of-2.json", note) // as if it had been killed
		b.set("lock-notes.txt", "somebody's own")
		_, err := lock(t, b, there)
		wantLocked(t, err, "part 2 of 2")
		pass(2 * time.Minute)
		whole := mustLock(t, b, there)
		if whole.Took == nil || whole.Took.RunID != "run-a" {
			t.Errorf("took %v, want the dead part's run", whole.Took)
		}
		if b.get("lock-2-of-2.json") != "" || b.get("lock-notes.txt") == "" {
			t.Error("the dead part's lock is not swept, or more than it is")
		}
		release(t, whole)
	})
}

func TestLockFolderCannotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		b.breaks(func(op string) error {
			if op == "list lock" {
				return pipeline.Errorf(pipeline.CodeDestinationDenied, "no s3:ListBucket")
			}
			return nil
		})
		_, err := lock(t, b, here)
		if pipeline.CodeOf(err) != pipeline.CodeDestinationDenied {
			t.Fatalf("error is %v", err)
		}
		if s := b.get("lock.json"); strings.Contains(s, "run-a") {
			t.Error("the lock stays of a run that could not begin")
		}
	})
}

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		part := mustLockPart(t, b, here, 1, 2)
		l := ledger.Open(b, live)
		mine, err := l.Turn(t.Context(), here)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		go func() {
			pass(30 * time.Second)
			release(t, mine)
		}()
		theirs, err := l.Turn(t.Context(), there)
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 30*time.Second || waited > 31*time.Second {
			t.Errorf("the second turn came after %v", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1001*time.Millisecond) // no look is due at that very moment
		defer cancel()
		if _, err := l.Turn(ctx, here); pipeline.CodeOf(err) != pipeline.CodeLocked {
			t.Errorf("a turn that never came ends with %v", err)
		}
		release(t, theirs)
		release(t, part)
	})
}
