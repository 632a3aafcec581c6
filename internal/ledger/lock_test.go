package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dailies/internal/ledger"
	"dailies/pipeline"
)

func holder(run string, host string, pid int) ledger.Holder {
	return ledger.Holder{RunID: run, Host: host, PID: pid, Boot: "boot of " + host}
}

var (
	here  = holder("run-a", "farm-1", 100)
	there = holder("run-b", "farm-2", 200)
)

// pass lets time pass, in the bubble's own time.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// alive says that every process lives.
func alive(int) bool { return true }

func lock(t *testing.T, b ledger.Blobs, who ledger.Holder) (*ledger.Lock, error) {
	t.Helper()
	return ledger.Open(b, live).Lock(t.Context(), who, ledger.LockOptions{Alive: alive})
}

func mustLock(t *testing.T, b ledger.Blobs, who ledger.Holder) *ledger.Lock {
	t.Helper()
	k, err := lock(t, b, who)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func release(t *testing.T, k *ledger.Lock) {
	t.Helper()
	if err := k.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantLocked(t *testing.T, err error, says ...string) {
	t.Helper()
	if pipeline.CodeOf(err) != pipeline.CodeLocked {
		t.Fatalf("error is %v, want %s", err, pipeline.CodeLocked)
	}
	e := pipeline.AsError(err)
	for _, s := range says {
		if !strings.Contains(e.Message+"\n"+e.Hint, s) {
			t.Errorf("%q, hint %q: does not say %q", e.Message, e.Hint, s)
		}
	}
}

func TestSecondRunIsToldWhoHoldsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		began := time.Now().UTC()
		k := mustLock(t, b, here)
		pass(10 * time.Minute) // kept alive by its heartbeat all the while
		beat := time.Now().UTC()
		_, err := lock(t, b, there)
		wantLocked(t, err, "run-a", "farm-1", "100", began.Format(time.RFC3339), beat.Format(time.RFC3339),
			beat.Add(time.Minute).Format(time.RFC3339), "mem:lock.json")
		if !k.Held() || k.Check(t.Context()) != nil || k.Err() != nil {
			t.Error("the holder believes that it has lost the lock")
		}
		release(t, k)
		if b.get("lock.json") != "" {
			t.Error("lock.json stays after the release")
		}
		if k.Held() {
			t.Error("held after the release")
		}
		release(t, k) // a second time does no harm
		next := mustLock(t, b, there)
		if next.Took != nil {
			t.Errorf("took over %+v, which had released", next.Took)
		}
		release(t, next)
	})
}

func TestStaleLockIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		k := mustLock(t, b, here)
		b.breaks(func(string) error { return errors.New("no route") }) // the holder's machine is cut off
		pass(61 * time.Second)
		if k.Held() {
			t.Error("held without a heartbeat for longer than the lease")
		}
		if err := k.Check(t.Context()); err == nil || pipeline.CodeOf(err) == pipeline.CodeLocked {
			t.Errorf("Check without a connection says %v", err)
		}
		b.breaks(nil)
		taker, err := lock(t, b, there)
		if err != nil {
			t.Fatal(err)
		}
		if taker.Took == nil || *taker.Took != here {
			t.Errorf("took over %+v, want %+v", taker.Took, here)
		}
		wantLocked(t, k.Check(t.Context()), "run-b", "farm-2")
		<-k.Lost()
		wantLocked(t, k.Err(), "run-b")
		release(t, k) // must not remove the other's
		if !strings.Contains(b.get("lock.json"), "run-b") {
			t.Error("the loser removed the winner's lock")
		}
		if err := taker.Check(t.Context()); err != nil {
			t.Error(err)
		}
		release(t, taker)
	})
}

// TestOutage: what nobody took during a short outage of the bucket is still ours after it.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		k := mustLock(t, b, here)
		b.breaks(func(string) error { return errors.New("503") })
		pass(5 * time.Minute)
		if k.Held() {
			t.Error("held through five minutes of outage")
		}
		b.breaks(nil)
		if err := k.Check(t.Context()); err != nil || !k.Held() {
			t.Errorf("after the outage: %v, held %v", err, k.Held())
		}
		release(t, k)
	})
}

// TestLostAnswer: a heartbeat that came through although its answer did not must not be taken for another run's.
func TestLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		k := mustLock(t, b, here)
		b.breaks(func(op string) error {
			if op == "answer lock.json" {
				return errors.New("connection reset")
			}
			return nil
		})
		pass(40 * time.Second)
		b.breaks(nil)
		if err := k.Check(t.Context()); err != nil {
			t.Error(err)
		}
		pass(time.Minute)
		if !k.Held() {
			t.Errorf("lost to itself: %v", k.Err())
		}
		release(t, k)
	})
}

func TestRemovedLockIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		k := mustLock(t, b, here)
		if err := b.Remove(t.Context(), "lock.json"); err != nil {
			t.Fatal(err)
		}
		<-k.Lost() // by the next heartbeat
		wantLocked(t, k.Check(t.Context()), "mem:lock.json")
		release(t, k)
	})
}

// TestDeadProcess: on the machine it ran on, a killed run need not be waited for.
func TestDeadProcess(t *testing.T) {
	for name, c := range map[string]struct {
		who   ledger.Holder
		alive bool
		takes bool
	}{
		"same machine, dead":       {holder("run-c", "farm-1", 101), false, true},
		"same machine, alive":      {holder("run-c", "farm-1", 101), true, false},
		"another machine":          {holder("run-c", "farm-3", 101), false, false},
		"another of the same name": {ledger.Holder{RunID: "run-c", Host: "farm-1", PID: 101, Boot: "another boot"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &memory{}
				k := mustLock(t, b, here)
				asked := 0
				taker, err := ledger.Open(b, live).Lock(t.Context(), c.who, ledger.LockOptions{Alive: func(pid int) bool {
					asked = pid
					return c.alive
				}})
				if (err == nil) != c.takes {
					t.Errorf("error %v, want it to take over: %v", err, c.takes)
				}
				if c.who.Host == here.Host && c.who.Boot == here.Boot && asked != here.PID {
					t.Errorf("asked for process %d, want %d", asked, here.PID)
				}
				if taker != nil {
					release(t, taker)
				}
				release(t, k)
			})
		})
	}
}

func TestUnreadableLockIsReplaced(t *testing.T) {
	for _, data := range []string{"", "{", `{"schema": "dailies.lock/v9"}`} {
		synctest.Test(t, func(t *testing.T) {
			b := &memory{}
			b.set("lock.json", data)
			release(t, mustLock(t, b, here))
		})
	}
}

func TestOneOfManyGetsTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var got []*ledger.Lock
		for i := range 20 {
			wg.Go(func() {
				k, err := ledger.Open(b, live).Lock(t.Context(), holder(fmt.Sprint("run-", i), "farm", i), ledger.LockOptions{Alive: alive})
				if err != nil {
					if pipeline.CodeOf(err) != pipeline.CodeLocked {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, k)
			})
		}
		wg.Wait()
		if len(got) != 1 {
			t.Errorf("%d runs hold the lock", len(got))
		}
		for _, k := range got {
			release(t, k)
		}
	})
}

func TestCheckIsFreeWhileHeartbeatsCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		k := mustLock(t, b, here)
		pass(5*time.Minute + time.Second)
		ops := 0
		b.breaks(func(string) error { ops++; return nil })
		for range 1000 {
			if err := k.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if ops != 0 {
			t.Errorf("%d requests for 1000 checks", ops)
		}
		release(t, k)
	})
}

func TestLockEndsWithItsRunNotItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &memory{}
		ctx, cancel := context.WithCancel(t.Context())
		k, err := ledger.Open(b, live).Lock(ctx, here, ledger.LockOptions{Alive: alive})
		if err != nil {
			t.Fatal(err)
		}
		cancel() // the run is being stopped, and still writes
		pass(5 * time.Minute)
		if !k.Held() {
			t.Error("the heartbeat ended with the context")
		}
		release(t, k)
	})
}
