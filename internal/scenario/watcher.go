package scenario

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"dailies/pipeline"
)

const (
	reconsidered = time.Second            // how long before the next look is decided anew
	shortestGap  = 100 * time.Millisecond // between two looks, however many requests are allowed
	longestGap   = 30 * time.Second       // between two looks, however unlikely news are: people like to see progress
	lagAllowed   = time.Minute            // how long after its submit a job may be unknown without being lost
	missAllowed  = 2                      // looks in which a listing may leave out a job that belongs on it
	pagesALook   = 5                      // of the listing
	byIDALook    = 5                      // requests for single jobs at one look
)

// A watcher follows every waiting job with one listing a look, so that a hundred jobs cost what one does. A job that
// newer ones pushed off the page is looked for on the next, and asked for by its id when it is nearly alone in that,
// or when the listing does not have it where it should be.
//
// It spends what others leave. Where slots are what the run waits for, submits are few, and every request to spare
// goes into seeing the end of a job, and its slot become free, as soon as it can be. Where submits wait for their turn
// nobody waits for slots, and it lives on the few requests that submits may not take. Either way it rests while none
// of the jobs is likely to have ended, going by how long the model's jobs take.
//
// Its goroutine lives only while somebody waits.
type watcher struct {
	c *Client

	mu      sync.Mutex
	jobs    map[string]*watched
	joined  int    // jobs there have been
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
	cost   int           // requests that it took
	most   int           // jobs waited for at once, so far
	failed int           // looks in a row that failed
	crowd  bool          // other people's jobs push ours off the page
}

// watched is one job that somebody waits for.
type watched struct {
	ref       pipeline.JobRef
	nth       int       // of those that joined
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
		w.joined++
		j = &watched{ref: ref, nth: w.joined, submitted: now}
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
		pause := w.pause(o)
		if pause <= 0 {
			w.look(o)
			continue
		}
		timer.Reset(min(pause, reconsidered)) // requests to spare come and go
		select {
		case <-o.ctx.Done():
			w.failAll(o, errClosed)
			return
		case <-o.wake:
		case <-timer.C:
		}
	}
}

// pause is how long to wait before the next look: as long as the requests to spare ask for, and until there is likely
// to be something to see.
func (w *watcher) pause(o *watch) time.Duration {
	if o.failed > 0 {
		return time.Until(o.looked.Add(min(time.Second<<min(o.failed, 5), longestGap)))
	}
	// A little more than half of what there is to spare: what a look finds brings submits.
	afford := window * 9 / 5 * time.Duration(max(o.cost, 1)) / time.Duration(w.c.limiter.spare())
	afford = max(afford, shortestGap)
	if afford < longestGap {
		jobs, most := w.prospects(o)
		afford = gap(jobs, most, afford)
	}
	return time.Until(o.looked.Add(afford))
}

// news is how many ended jobs must be expected for a look to be worth while. As long as ended jobs are replaced by new
// ones somebody waits for their slots, and one in a hundred is enough; when no longer, one in ten.
func news(jobs, most int) float64 {
	if jobs*5 >= most*4 {
		return max(0.1, float64(jobs)/100)
	}
	return max(0.25, float64(jobs)/10)
}

// A prospect is what is known of when a job will end.
type prospect struct {
	law   law
	age   time.Duration // at the last look; negative when it was submitted later
	since time.Duration // the age at which it was last seen running
}

// prospects are those of all waiting jobs, and how many there have been at once.
func (w *watcher) prospects(o *watch) (jobs []prospect, most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.most = max(o.most, len(w.jobs))
	jobs = make([]prospect, 0, len(w.jobs))
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
	return jobs, o.most
}

// gap is the time from the last look, at least the shortest, until so many jobs are expected to have ended that another
// is worth while.
func gap(jobs []prospect, most int, shortest time.Duration) time.Duration {
	const longestStep = 250 * time.Millisecond
	for t := shortest; t < longestGap; t += min(max(t/8, time.Millisecond), longestStep) {
		ended := 0.0
		for _, j := range jobs {
			ended += j.law.ended(j.since, j.age+t)
		}
		if ended >= news(len(jobs), most) {
			return t
		}
	}
	return longestGap
}

// look asks how the jobs are and tells those who wait.
func (w *watcher) look(o *watch) {
	o.looked, o.cost = time.Now(), 0
	strays := w.refs()
	if len(strays) > 1 { // one job is the smaller question, and its answer does not lag
		var err error
		switch strays, err = w.list(o, strays); {
		case refusesAll(err):
			w.failAll(o, err)
			return
		case err != nil:
			o.failed++
			return
		}
		w.longestFirst(strays)
	}
	for _, ref := range strays[:min(len(strays), byIDALook)] {
		o.cost++
		job, err := w.c.job(o.ctx, ref.ID, forWatch)
		switch {
		case err == nil:
			w.settle(o, job)
		case refusesAll(err):
			w.failAll(o, err)
			return
		case pipeline.CodeOf(err) == pipeline.CodeNotFound:
			w.missing(o, ref, err)
		default:
			o.failed++
			return
		}
	}
	o.failed = 0
}

// refusesAll reports whether no job can be followed any more.
func refusesAll(err error) bool {
	code := pipeline.CodeOf(err)
	return code == pipeline.CodeCredentials || code == pipeline.CodeProject
}

// list settles those jobs that the listing has and returns those that have to be asked for by id.
func (w *watcher) list(o *watch, refs []pipeline.JobRef) (strays []pipeline.JobRef, err error) {
	size, token := w.reach(o), ""
	for range pagesALook {
		o.cost++
		page, next, err := w.c.page(o.ctx, token, size, forWatch)
		switch {
		case err != nil && (refusesAll(err) || pipeline.CodeOf(err).Traits().Retry || o.ctx.Err() != nil):
			return nil, err
		case err != nil:
			return append(strays, refs...), nil // there is no listing to be had: ask for each
		}
		var missed []pipeline.JobRef
		missed, refs = w.compare(o, refs, page, next != "")
		strays = append(strays, missed...)
		if len(refs) < 2 {
			break
		}
		o.crowd, token = true, next
	}
	return append(strays, refs...), nil
}

// reach is how many jobs a page must have for the oldest that somebody waits for to be on it, if all are ours.
func (w *watcher) reach(o *watch) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.crowd {
		return pageSize
	}
	since := 0
	for _, j := range w.jobs {
		since = max(since, w.joined-j.nth)
	}
	return min(since+since/4+10, pageSize)
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

// compare settles those jobs that are on the page. Of the others it returns those that should have been on it, and not
// for the first time, and those that must be on a later page; more says that there is one.
func (w *watcher) compare(o *watch, refs []pipeline.JobRef, page []pipeline.Job, more bool) (missed, later []pipeline.JobRef) {
	on := make(map[string]pipeline.Job, len(page))
	var oldest time.Time
	for _, j := range page {
		on[j.ID] = j
		oldest = j.CreatedAt
	}
	for _, ref := range refs {
		if job, ok := on[ref.ID]; ok {
			w.settle(o, job)
		} else if more && !ref.SubmittedAt.After(oldest) {
			later = append(later, ref)
		} else if w.miss(ref.ID) > missAllowed {
			missed = append(missed, ref)
		}
	}
	return missed, later
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

// settle takes in what the API says of a job.
func (w *watcher) settle(o *watch, job pipeline.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[job.ID]
	if j == nil || o.ctx.Err() != nil {
		return
	}
	j.missed, j.known = 0, o.looked
	if job.State != pipeline.JobRunning {
		w.learn(j, job)
		w.end(j, ending{job: job})
		return
	}
	j.running = o.looked
	if job.Progress == j.progress {
		return
	}
	j.progress = job.Progress
	for _, me := range j.waiters {
		select {
		case <-me.progress: // an older one that was not fetched
		default:
		}
		me.progress <- job.Progress
	}
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
