package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"dailies/pipeline"
)

const lockSchema = "dailies.lock/v1"

var errReleased = errors.New("the lock was released")

// A Holder is a run that holds, or wants, the lock.
type Holder struct {
	RunID string `json:"run_id"`
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	// Boot tells processes of one system, since it was started, from those of another that bears the same host name
	// (a container, a cloned machine). Empty where the system does not say.
	Boot string `json:"boot,omitempty"`
}

// LockOptions have defaults that are right for people.
type LockOptions struct {
	Part Part // of the batch the run is about; the zero value is the whole of it

	Lease time.Duration // how long a holder that is not heard of is believed to be alive; default 60 s
	Every time.Duration // between heartbeats; default a quarter of the lease

	// Alive reports whether a process of this system lives; nil asks the system.
	Alive func(pid int) bool
}

// note is what lock.json says.
type note struct {
	Schema string `json:"schema"`
	Holder
	Part        *Part     `json:"part,omitempty"`
	StartedAt   time.Time `json:"started_at"`
	HeartbeatAt time.Time `json:"heartbeat_at"`
	LeaseS      float64   `json:"lease_s"`
}

func (n note) lease() time.Duration { return time.Duration(n.LeaseS * float64(time.Second)) }

// A Lock says, kindly, that this run works on the batch. It is the records' compare-and-swap that keeps two runs from
// buying the same item; the lock spares the second one the attempt, and a run that slept through its lease the
// surprise.
type Lock struct {
	// Took is the holder whose lock was taken over because it is dead or was not heard of for a lease; nil when there
	// was none. People should be told.
	Took *Holder

	l      *Ledger
	file   string
	o      LockOptions
	lost   chan struct{}
	cancel context.CancelFunc
	ended  chan struct{} // the heartbeat is over

	renewing sync.Mutex // one renewal at a time

	mu      sync.Mutex
	note    note
	version string
	renewed time.Time // monotonic and wall
	gone    error     // why it is not ours any more
}

// Lock takes the lock of the batch, or of a part of it, or says with [pipeline.CodeLocked] who holds it. Parts of one
// division are held side by side; the whole and a part, or parts of different divisions, are not. It must be released.
func (l *Ledger) Lock(ctx context.Context, who Holder, o LockOptions) (*Lock, error) {
	k, err := l.lock(ctx, who, o, o.Part.file())
	if err != nil {
		return nil, err
	}
	if err := k.settle(ctx); err != nil {
		return nil, errors.Join(err, k.Release(context.WithoutCancel(ctx)))
	}
	return k, nil
}

func (l *Ledger) lock(ctx context.Context, who Holder, o LockOptions, file string) (*Lock, error) {
	if o.Lease == 0 {
		o.Lease = time.Minute
	}
	if o.Every == 0 {
		o.Every = o.Lease / 4
	}
	if o.Alive == nil {
		o.Alive = processAlive
	}
	k := &Lock{l: l, file: file, o: o, lost: make(chan struct{}), ended: make(chan struct{}),
		note: note{Schema: lockSchema, Holder: who, Part: o.Part.noted(), StartedAt: time.Now().UTC(), LeaseS: o.Lease.Seconds()}}
	if err := k.take(ctx); err != nil {
		k.disown(ctx)
		return nil, err
	}
	beating, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k.cancel = cancel
	go k.beat(beating)
	return k, nil
}

// disown removes our note where it came to be written although its answer did not come: nobody is behind it.
func (k *Lock) disown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.o.Every)
	defer cancel()
	if there, _, err := k.l.lockNote(ctx, k.file); err == nil && there != nil && there.Holder == k.note.Holder {
		_ = k.l.blobs.Remove(ctx, k.file) // else the lease ends it
	}
}

// take writes our note where none is, or over one that has nobody behind it.
func (k *Lock) take(ctx context.Context) error {
	for {
		current, version, err := k.l.lockNote(ctx, k.file)
		if err != nil {
			return err
		}
		if current != nil && !k.abandoned(*current) {
			return k.l.heldBy(*current, k.file)
		}
		k.version = version
		if err := k.write(ctx); !errors.Is(err, pipeline.ErrConflict) {
			if err == nil && current != nil {
				k.Took = &current.Holder
			}
			return err
		}
		// Somebody wrote in between: look who it was.
	}
}

// lockNote reads a lock. One that cannot be read is of nobody: it is replaced.
func (l *Ledger) lockNote(ctx context.Context, file string) (*note, string, error) {
	data, version, err := l.blobs.ReadRecord(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	var n note
	if strict(data, &n) != nil || n.Schema != lockSchema {
		return nil, version, nil
	}
	return &n, version, nil
}

// abandoned reports that nobody is behind the note: its process is known to be dead, or was not heard of for its lease.
func (k *Lock) abandoned(n note) bool {
	here := n.Host == k.note.Host && n.Boot == k.note.Boot
	if here && !k.o.Alive(n.PID) {
		return true
	}
	return time.Since(n.HeartbeatAt) > n.lease()
}

func (l *Ledger) heldBy(n note, file string) *pipeline.Error {
	what := "this batch"
	if n.Part != nil {
		what = fmt.Sprintf("part %d of %d of this batch", n.Part.I, n.Part.N)
	}
	return &pipeline.Error{
		Code: pipeline.CodeLocked,
		Message: fmt.Sprintf("run %s on %s (process %d) has held %s since %s and was heard of at %s",
			n.RunID, n.Host, n.PID, what, n.StartedAt.Format(time.RFC3339), n.HeartbeatAt.Format(time.RFC3339)),
		Hint: fmt.Sprintf("wait for it to end; if it is dead, the same command takes over from %s, or at once when %s is deleted",
			n.HeartbeatAt.Add(n.lease()).Format(time.RFC3339), l.blobs.URI(file)),
	}
}

// write puts a fresh heartbeat over what stands there in the version we know.
func (k *Lock) write(ctx context.Context) error {
	k.mu.Lock()
	n, version := k.note, k.version
	k.mu.Unlock()
	at := time.Now()
	n.HeartbeatAt = at.UTC()
	version, err := k.l.blobs.WriteRecord(ctx, k.file, encode(n), version)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.note, k.version, k.renewed = n, version, at
	return nil
}

// renew writes a heartbeat, unless one younger than enough has been written already.
func (k *Lock) renew(ctx context.Context, enough time.Duration) error {
	k.renewing.Lock()
	defer k.renewing.Unlock()
	if age, gone := k.state(); gone != nil || age < enough {
		return gone
	}
	for {
		err := k.write(ctx)
		if !errors.Is(err, pipeline.ErrConflict) {
			return err
		}
		there, version, err := k.l.lockNote(ctx, k.file)
		switch {
		case err != nil:
			return err
		case there != nil && there.Holder == k.note.Holder: // an earlier heartbeat came through, its answer did not
			k.mu.Lock()
			k.version = version
			k.mu.Unlock()
			continue
		}
		return k.lose(there)
	}
}

// lose notes that the lock is another's, or nobody's.
func (k *Lock) lose(to *note) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if to != nil {
		k.gone = k.l.heldBy(*to, k.file)
	} else {
		k.gone = &pipeline.Error{Code: pipeline.CodeLocked, Message: fmt.Sprintf("this run's lock %s was removed or damaged", k.l.blobs.URI(k.file)),
			Hint: "run the same command again, once no other run is at work"}
	}
	close(k.lost)
	return k.gone
}

// beat renews the lock until it is released or lost. A renewal that fails is tried again at the next beat: whether the
// lease still stands is what Held and Check say.
func (k *Lock) beat(ctx context.Context) {
	defer close(k.ended)
	t := time.NewTicker(k.o.Every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			attempt, cancel := context.WithTimeout(ctx, k.o.Lease/2)
			_ = k.renew(attempt, 0)
			cancel()
		case <-k.lost:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Lost is closed when another run is found to hold the lock, or the lock was removed.
func (k *Lock) Lost() <-chan struct{} { return k.lost }

// Err says why the lock is not ours any more, nil while it is.
func (k *Lock) Err() error {
	_, gone := k.state()
	return gone
}

// Held reports whether the lease of the last heartbeat still stands, so that nobody else may have taken the lock.
func (k *Lock) Held() bool {
	age, gone := k.state()
	return gone == nil && age < k.o.Lease
}

// Check is for the moment before money is spent. It costs nothing while heartbeats come; a process that was stopped or
// cut off for half its lease must renew the lock before it goes on, and learns here that another run has taken it.
func (k *Lock) Check(ctx context.Context) error {
	enough := k.o.Lease / 2
	if age, gone := k.state(); gone != nil || age < enough {
		return gone
	}
	return k.renew(ctx, enough)
}

// state returns how long ago the lock was renewed, by whichever clock says more (the monotonic one is blind to a
// laptop's sleep, the wall clock can be set back), and why it is not ours any more.
func (k *Lock) state() (age time.Duration, gone error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(time.Since(k.renewed), time.Now().Round(0).Sub(k.renewed.Round(0))), k.gone
}

// Release ends the heartbeat and removes the lock, if it is still ours.
func (k *Lock) Release(ctx context.Context) error {
	k.cancel()
	<-k.ended
	// To renew is to prove that it is ours, and nobody takes what was just renewed.
	if err := k.renew(ctx, 0); err != nil {
		if k.Err() != nil {
			return nil // another's by now, or released before
		}
		return err
	}
	k.mu.Lock()
	k.gone = errReleased
	k.mu.Unlock()
	return k.l.blobs.Remove(ctx, k.file)
}
