package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"dailies/internal/report"
	"dailies/internal/store"
	"dailies/pipeline"
)

// The files a run leaves beside the assets.
const (
	resultsFile = "results.json"
	csvFile     = "results.csv"
	galleryFile = "index.html"

	csvMIME     = "text/csv; charset=utf-8"
	galleryMIME = "text/html; charset=utf-8"

	leaveTime = 60 * time.Second // for all of them to be stored, whatever else is ending
)

// leave writes what people and programs read afterwards, all from the one summary.
func (s *session) leave(own *pipeline.Summary) error {
	if s.working.Err() != nil {
		return nil // told twice to stop: the ledger has it all, and report can write these later
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.working), leaveTime)
	defer cancel()
	whole, done, err := s.whole(ctx, own)
	if err == nil {
		err = writeReports(ctx, s.dest, s.report, whole)
		done()
	}
	if err := s.book.WriteIndex(ctx); err != nil {
		s.note("the ledger has no index: the next run reads it record by record (%s)", pipeline.Plain(err.Error()))
	}
	return errors.Join(err, leaveLocal(s.report, own, s.f.junit, s.summary))
}

// writeReports stores the reports that are beside the assets.
func writeReports(ctx context.Context, dest store.Store, run report.Run, s *pipeline.Summary) error {
	for _, f := range []struct {
		key, mime string
		write     func(io.Writer, report.Run, *pipeline.Summary) error
	}{
		{resultsFile, "application/json", report.WriteJSON},
		{csvFile, csvMIME, report.WriteCSV},
		{galleryFile, galleryMIME, report.Gallery},
	} {
		if err := put(ctx, dest, f.key, f.mime, func(w io.Writer) error { return f.write(w, run, s) }); err != nil {
			return err
		}
	}
	return nil
}

// readResults reads what writeReports left; the error is [fs.ErrNotExist] where nothing was.
func readResults(ctx context.Context, dest store.Store) (report.Run, *pipeline.Summary, error) {
	results, _, err := dest.Open(ctx, resultsFile)
	if err != nil {
		return report.Run{}, nil, err
	}
	defer results.Close()
	return report.ReadJSON(results)
}

// leaveLocal writes the reports that are for the machine the run is on.
func leaveLocal(run report.Run, s *pipeline.Summary, junit, summary string) error {
	if junit != "" {
		if err := writeFile(junit, os.O_TRUNC, func(w io.Writer) error { return report.JUnit(w, run, s) }); err != nil {
			return err
		}
	}
	if summary != "" { // appended to: a CI job's summary is made of what all its steps add
		room := report.MostSummary
		if there, err := os.Stat(summary); err == nil && there.Mode().IsRegular() {
			room -= int(min(there.Size(), report.MostSummary))
		}
		return writeFile(summary, os.O_APPEND, func(w io.Writer) error { return report.SummaryWithin(w, run, s, room) })
	}
	return nil
}

func writeFile(name string, mode int, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|mode, 0o644)
	if err != nil {
		return pipeline.Errorf(pipeline.CodeUsage, "%w", err)
	}
	err = write(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return pipeline.Errorf(pipeline.CodeDestination, "%s: %w", name, err)
	}
	return nil
}

// put stores a report. It goes through a file, because its size is not known before it is written.
func put(ctx context.Context, dest store.Store, key, mime string, write func(io.Writer) error) error {
	f, err := os.CreateTemp("", "dailies-*")
	if err != nil {
		return pipeline.Errorf(pipeline.CodeDiskFull, "%w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := write(f); err != nil {
		return pipeline.Errorf(pipeline.CodeDiskFull, "%s: %w", key, err)
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return pipeline.Errorf(pipeline.CodeInternal, "%s: %w", key, err)
	}
	_, err = dest.Put(ctx, key, f, size, pipeline.ObjectMeta{ContentType: mime})
	return err
}
