package scenario

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"dailies/pipeline"
)

const (
	shortestGap = time.Second      // between two looks
	longestGap  = 30 * time.Second // however unlikely news are: people like to see progress
	lagAllowed  = time.Minute      // how long after its submit a job may be unknown without being lost
	missAllowed = 2                // looks in which a listing may leave out a job that belongs on it
	byIDALook   = 5                // requests for single jobs at one look
)

// A watcher follows every waiting job with one listing a look, so that a thousand jobs cost what one does. A job
// that is not on the page, because newer ones pushed it off or the listing lags, is asked for by its id.
//
// It looks when the wait so far is likely to have cost more than a request is worth: every job that has ended
// unseen costs its waiting, and how likely that is follows from how long the model's jobs take. With many jobs in
// flight it looks often, with few seldom, and hardly at all before the first could possibly have ended.
//
// Its goroutine lives only while somebody waits.
type watcher struct {
	c *Client

	mu      sync.Mutex
	jobs    map[string]*watched
	current *watch // the goroutine at work; nil when nobody waits
	closed  bool
	group   sync.WaitGroup
}

// A watch is one life of the goroutine.
type watch struct {
	ctx    context.Context // ends when nobody waits any more
	cancel context.CancelFunc
	wake   chan struct{} // buffered: somebody new waits
	looked time.Time     // when the last look began
	quiet  int           // looks in a row that brought no news
	failed int           // looks in a row that failed
}

// watched is one job that somebody waits for.
type watched struct {
	ref       pipeline.JobRef
	submitted time.Time // by our clock
	running   time.Time // when it was last known not to have ended; zero when never
	known     time.Time // when the API last answered about it, if only that it does not know it
	missed    int       // looks in a row at listings without it
	progress  float64
	waiters   []*waiter
}

type waiter struct {
	progress chan float64 // buffered, the latest alone
	ended    chan ending  // buffered
}

type ending struct {
	job pipeline.Job
	err error
}

func newWatcher(c *Client) *watcher { return &watcher{c: c, jobs: make(map[string]*watched)} }

// Await returns the job once it has ended, however it ended.
func (c *Client) Await(ctx context.Context, ref pipeline.JobRef, progress func(float64)) (pipeline.Job, error) {
	if err := checkID("a job", ref.ID); err != nil {
		return pipeline.Job{}, err
	}
	me := &waiter{progress: make(chan float64, 1), ended: make(chan ending, 1)}
	if !c.watcher.join(ref, me) {
		return pipeline.Job{}, stopped(ref, errClosed)
	}
	defer c.watcher.leave(ref.ID, me)
	for {
		select {
		case f := <-me.progress:
			if progress != nil {
				progress(f)
			}
		case end := <-me.ended:
			return end.job, end.err
		case <-ctx.Done():
			return pipeline.Job{}, stopped(ref, context.Cause(ctx))
		}
	}
}

func stopped(ref pipeline.JobRef, cause error) *pipeline.Error {
	return interrupted(call{about: "job " + ref.ID}, &failure{err: cause})
}

func (w *watcher) join(ref pipeline.JobRef, me *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	j := w.jobs[ref.ID]
	if j == nil {
		now := time.Now()
		j = &watched{ref: ref, submitted: now}
		if s := ref.SubmittedAt.Add(now.Sub(w.c.now())); !ref.SubmittedAt.IsZero() && s.Before(now) {
			j.submitted = s
		}
		w.jobs[ref.ID] = j
	}
	j.waiters = append(j.waiters, me)
	if w.current == nil {
		o := &watch{wake: make(chan struct{}, 1), looked: time.Now()}
		o.ctx, o.cancel = context.WithCancel(w.c.life)
		w.current = o
		w.group.Go(func() { w.follow(o) })
	}
	select {
	case w.current.wake <- struct{}{}:
	default:
	}
	return true
}

func (w *watcher) leave(id string, me *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[id]
	if j == nil || !slices.Contains(j.waiters, me) {
		return
	}
	j.waiters = slices.DeleteFunc(j.waiters, func(o *waiter) bool { return o == me })
	if len(j.waiters) == 0 {
		w.drop(id)
	}
}

// drop forgets a job, and ends the watch when it was the last one. The lock is held.
func (w *watcher) drop(id string) {
	delete(w.jobs, id)
	if len(w.jobs) == 0 && w.current != nil {
		w.current.cancel()
		w.current = nil
	}
}

// stop ends the watch, after the client's life has.
func (w *watcher) stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.group.Wait()
}

// follow looks again and again until nobody waits.
func (w *watcher) follow(o *watch) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(w.pause(o))
		select {
		case <-o.ctx.Done():
			w.failAll(o, errClosed)
			return
		case <-o.wake:
		case <-timer.C:
			w.look(o)
		}
	}
}

// pause is how long to wait before the next look.
func (w *watcher) pause(o *watch) time.Duration {
	if o.failed > 0 {
		return time.Until(o.looked.Add(min(time.Second<<min(o.failed, 5), longestGap)))
	}
	load := w.c.limiter.load()
	w.mu.Lock()
	jobs := make([]prospect, 0, len(w.jobs))
	laws := make(map[string]law)
	for _, j := range w.jobs {
		l, ok := laws[j.ref.Model]
		if !ok {
			l = w.c.durations.law(j.ref.Model)
			laws[j.ref.Model] = l
		}
		p := prospect{law: l, age: o.looked.Sub(j.submitted)}
		if !j.running.IsZero() {
			p.since = j.running.Sub(j.submitted)
		}
		jobs = append(jobs, p)
	}
	w.mu.Unlock()
	price := w.c.limiter.price()
	return time.Until(o.looked.Add(gap(jobs, price*worth(len(jobs), load, o.quiet), time.Duration(price*float64(shortestGap)))))
}

// A prospect is what is known of when a job will end.
type prospect struct {
	law   law
	age   time.Duration // at the last look; negative when it was submitted later
	since time.Duration // the age at which it was last seen running
}

// worth is how many seconds of waiting, summed over all jobs, one more look is worth: the more jobs the more, and
// more still when few requests are left for what is urgent and when nothing has changed for a while. The figures
// are tuned on TestRequestsPerItem: ten jobs of ten seconds cost half a request each beside their submit, and
// somebody who waits for a single one does not wait much longer than it takes.
func worth(jobs int, load float64, quiet int) float64 {
	power := 1.4
	if jobs > 10 {
		power = 0.3
	}
	seconds := 9 * math.Pow(float64(jobs)/10, power)
	return seconds * (1 + 2*load*load) * (1 + 0.1*float64(min(quiet, 5)))
}

// gap is the time from the last look to the next, at least the shortest: until the jobs that have ended by then are
// expected to have waited for that many seconds together.
func gap(jobs []prospect, worth float64, shortest time.Duration) time.Duration {
	step := min(250*time.Millisecond, shortest)
	waited := 0.0
	for t := step; t < longestGap; t += step {
		for _, j := range jobs {
			waited += j.law.ended(j.since, j.age+t) * step.Seconds()
		}
		if waited >= worth {
			return max(t, shortest)
		}
		step = max(step, min(t/8, 250*time.Millisecond))
	}
	return longestGap
}

// look asks how the jobs are and tells those who wait.
func (w *watcher) look(o *watch) {
	o.looked = time.Now()
	refs := w.refs()
	var strays []pipeline.JobRef
	news := false
	if len(refs) == 1 {
		strays = refs // one job is the smaller question, and its answer does not lag
	} else {
		page, next, err := w.c.page(o.ctx, "", forWatch)
		switch code := pipeline.CodeOf(err); {
		case code == pipeline.CodeCredentials || code == pipeline.CodeProject:
			w.failAll(o, err)
			return
		case err != nil && (code.Traits().Retry || o.ctx.Err() != nil):
			o.failed++
			return
		case err != nil:
			strays = refs // there is no listing to be had: ask for each
		default:
			strays, news = w.compare(o, refs, page, next != "")
		}
		// A further page is worth many requests for single jobs, where so many have been pushed off the first.
		for len(strays) > byIDALook && next != "" && w.c.limiter.load() < 0.5 {
			if page, next, err = w.c.page(o.ctx, next, forWatch); err != nil {
				break // what this page would have told is asked for by id
			}
			var more bool
			strays, more = w.compare(o, strays, page, next != "")
			news = news || more
		}
		w.longestFirst(strays)
	}
	for _, ref := range strays[:min(len(strays), byIDALook)] {
		job, err := w.c.job(o.ctx, ref.ID, forWatch)
		switch code := pipeline.CodeOf(err); {
		case err == nil:
			news = w.settle(o, job) || news
		case code == pipeline.CodeCredentials || code == pipeline.CodeProject:
			w.failAll(o, err)
			return
		case code == pipeline.CodeNotFound:
			w.missing(o, ref, err)
		default:
			o.failed++
			return
		}
	}
	o.failed = 0
	if o.quiet++; news {
		o.quiet = 0
	}
}

func (w *watcher) refs() []pipeline.JobRef {
	w.mu.Lock()
	defer w.mu.Unlock()
	refs := make([]pipeline.JobRef, 0, len(w.jobs))
	for _, j := range w.jobs {
		refs = append(refs, j.ref)
	}
	return refs
}

// compare settles those jobs that are on the page and returns those that have to be asked for by id. more says that
// the page is not the last.
func (w *watcher) compare(o *watch, refs []pipeline.JobRef, page []pipeline.Job, more bool) (strays []pipeline.JobRef, news bool) {
	on := make(map[string]pipeline.Job, len(page))
	var oldest time.Time
	for _, j := range page {
		on[j.ID] = j
		oldest = j.CreatedAt
	}
	for _, ref := range refs {
		if job, ok := on[ref.ID]; ok {
			news = w.settle(o, job) || news
			continue
		}
		pushedOff := more && !ref.SubmittedAt.After(oldest)
		if w.miss(ref.ID) > missAllowed || pushedOff {
			strays = append(strays, ref)
		}
	}
	return strays, news
}

// miss counts a look that did not find a job where it should have been.
func (w *watcher) miss(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[id]
	if j == nil {
		return 0
	}
	j.missed++
	return j.missed
}

// longestFirst puts those whose state was learned longest ago first.
func (w *watcher) longestFirst(refs []pipeline.JobRef) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := func(ref pipeline.JobRef) time.Time {
		if j := w.jobs[ref.ID]; j != nil {
			return j.known
		}
		return time.Time{}
	}
	slices.SortFunc(refs, func(a, b pipeline.JobRef) int {
		return cmp.Or(known(a).Compare(known(b)), a.SubmittedAt.Compare(b.SubmittedAt), cmp.Compare(a.ID, b.ID))
	})
}

// settle takes in what the API says of a job and reports whether it was news.
func (w *watcher) settle(o *watch, job pipeline.Job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[job.ID]
	if j == nil || o.ctx.Err() != nil {
		return false
	}
	j.missed, j.known = 0, o.looked
	if job.State != pipeline.JobRunning {
		w.learn(j, job)
		w.end(j, ending{job: job})
		return true
	}
	j.running = o.looked
	if job.Progress == j.progress {
		return false
	}
	j.progress = job.Progress
	for _, me := range j.waiters {
		select {
		case <-me.progress: // an older one that was not fetched
		default:
		}
		me.progress <- job.Progress
	}
	return true
}

// learn takes in how long a job took. The lock is held.
func (w *watcher) learn(j *watched, job pipeline.Job) {
	if job.State != pipeline.JobSucceeded {
		return
	}
	took := job.UpdatedAt.Sub(job.CreatedAt)
	switch told := !job.CreatedAt.IsZero() && !job.UpdatedAt.IsZero(); {
	case told && took > 0:
	case !j.running.IsZero():
		took = time.Since(j.submitted)
	case told && took == 0:
		took = time.Millisecond // as long as the API's clock has no smaller unit
	}
	w.c.durations.learn(j.ref.Model, took)
}

// missing takes in that the API does not know a job. Soon after its submit that may pass.
func (w *watcher) missing(o *watch, ref pipeline.JobRef, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[ref.ID]
	if j == nil || o.ctx.Err() != nil {
		return
	}
	j.known = o.looked
	if time.Since(j.submitted) >= lagAllowed {
		w.end(j, ending{err: err})
	}
}

// end tells those who wait for a job. The lock is held.
func (w *watcher) end(j *watched, with ending) {
	for _, me := range j.waiters {
		me.ended <- with
	}
	w.drop(j.ref.ID)
}

// failAll tells everybody that jobs cannot be followed.
func (w *watcher) failAll(o *watch, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != o {
		return
	}
	for _, j := range w.jobs {
		with := ending{err: err}
		if err == errClosed {
			with.err = stopped(j.ref, err)
		}
		w.end(j, with)
	}
}
