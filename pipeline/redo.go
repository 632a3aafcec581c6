package pipeline

import "slices"

// chooseRedo decides whether a task is to be made anew. A wish is about one job: when that is no longer what the
// record is about, the wish has been granted, and whatever became of it is simply continued.
func (r *run) chooseRedo(t *task) {
	if r.Redo == nil {
		return
	}
	job, wished := r.Redo[t.it.ID]
	switch {
	case !wished:
		t.left = true
	case job == t.rec.JobID:
		t.redo = !t.left && t.in(Stored, Succeeded, Broken)
	case !slices.ContainsFunc(t.rec.History, func(p Purchase) bool { return p.JobID == job }):
		t.left = true
		r.notice(t, "the ledger knows no job %s of it: left alone", job)
	}
}

// anew reports whether the item, as it is now, has been made before, and what came of it was not wanted: then it must
// not be made of the same seed.
func (t *task) anew() bool {
	return t.redo || slices.ContainsFunc(t.rec.History, func(p Purchase) bool {
		return p.Fingerprint == t.it.Fingerprint && len(p.Outputs) > 0
	})
}
