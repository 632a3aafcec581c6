package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// historyFolder is where replaced files are kept, under the output.
const historyFolder = ".dailies/history"

// HistoryKey is where a file of an earlier purchase goes when the item is made anew: under history, by item and job.
func HistoryKey(item, job, key string) string {
	return path.Join(historyFolder, item, job, path.Base(key))
}

// setAside keeps the files of the last purchase that brought any, if it was of the same item as it is now: it is made
// anew because somebody, or a check, did not like them. The record says where they are before anything takes their
// place.
func (r *run) setAside(t *task) error {
	n := len(t.rec.History) - 1
	for n >= 0 && len(t.rec.History[n].Outputs) == 0 {
		n-- // what brought nothing has nothing in the way
	}
	if n < 0 || t.rec.History[n].Fingerprint != t.it.Fingerprint {
		return nil
	}
	last := t.rec.History[n]
	kept := make([]Output, len(last.Outputs))
	moved := false
	for i, o := range last.Outputs {
		kept[i] = o
		to := HistoryKey(t.it.ID, last.JobID, o.Key)
		if slices.ContainsFunc(kept[:i], func(k Output) bool { return k.Key == to }) {
			to = HistoryKey(t.it.ID, last.JobID, fmt.Sprintf("%d-%s", o.N, path.Base(o.Key)))
		}
		if o.Key == to {
			continue
		}
		err := r.persist(r.working, transferPolicy, func() error {
			err := r.Store.Move(r.working, o.Key, to)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // moved by a run that could not write it down, or removed by somebody
			}
			return err
		})
		if err != nil {
			return err
		}
		kept[i].Key, kept[i].URI, moved = to, r.Store.URI(to), true
	}
	if !moved {
		return nil
	}
	rec := t.rec
	rec.History = append([]Purchase(nil), rec.History...)
	rec.History[n].Outputs = kept
	return r.save(t, rec)
}
