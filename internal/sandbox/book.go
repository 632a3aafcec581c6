package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"dailies/pipeline"
)

// A Purchase is one accepted submit: what a test holds a client to.
type Purchase struct {
	JobID    string          `json:"jobId"`
	Project  string          `json:"project"`
	Model    string          `json:"model"`
	Payload  json.RawMessage `json:"payload"` // as sent, with sorted keys and no white space
	Cost     pipeline.CU     `json:"cost"`
	Refunded bool            `json:"refunded"` // the job has ended, and its price was given back
	Outcome  string          `json:"outcome"`  // running, success, failure or canceled
	At       time.Time       `json:"at"`
	AssetIDs []string        `json:"assetIds,omitempty"` // of a success, each once
}

// Book lists every accepted submit, oldest first, whether its answer arrived or not.
func (s *Server) Book() []Purchase {
	now := clock()
	s.mu.Lock()
	jobs := s.booked[:len(s.booked):len(s.booked)]
	s.mu.Unlock()
	book := make([]Purchase, len(jobs))
	for i, j := range jobs {
		p := Purchase{JobID: j.ID, Project: j.Project, Model: j.Model, Payload: j.Payload, Cost: j.Cost, Outcome: "running", At: j.At}
		if !j.end().After(now) {
			p.Refunded = !j.charged()
			if p.Outcome = j.Fate.End; p.Outcome == "" {
				p.Outcome = success
				for _, o := range j.Outputs {
					if !o.Prompt {
						p.AssetIDs = append(p.AssetIDs, o.ID)
					}
				}
			}
		}
		book[i] = p
	}
	return book
}

// An entry is one line of the journal. Of several entries with one id the last counts.
type entry struct {
	Job    *job    `json:"job,omitempty"`
	Upload *upload `json:"upload,omitempty"`
}

// A journal is an append-only file of entries, one line each, written before anything is answered. A line that a
// killed process left half written was never answered for; it is cut off when the journal is opened again.
type journal struct {
	f    *os.File
	size int64 // of whole lines
}

func openJournal(path string, replay func(entry) error) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, pipeline.Errorf(pipeline.CodeUsage, "sandbox: book: %w", err)
	}
	whole, err := readJournal(f, path, replay)
	if err == nil {
		err = f.Truncate(whole)
	}
	if err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &journal{f: f, size: whole}, nil
}

// readJournal replays every whole line and returns where the last of them ends.
func readJournal(f *os.File, path string, replay func(entry) error) (whole int64, err error) {
	r := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, pipeline.Errorf(pipeline.CodeUsage, "sandbox: book: %w", err)
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, damaged(path, n, err)
		}
		if err := replay(e); err != nil {
			return 0, damaged(path, n, err)
		}
		whole += int64(len(line))
	}
}

func damaged(path string, line int, err error) error {
	e := pipeline.Errorf(pipeline.CodeUsage, "sandbox: the book is damaged: %w", err)
	e.At = pipeline.Position{File: path, Line: line, Col: 1}
	e.Hint = "mend the line, or give the sandbox a new book"
	return e
}

func (j *journal) append(e entry) error {
	if j == nil {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return err
	}
	if _, err := j.f.Write(b.Bytes()); err != nil {
		// Half a line would spoil the next one.
		_, seek := j.f.Seek(j.size, io.SeekStart)
		return errors.Join(err, j.f.Truncate(j.size), seek)
	}
	j.size += int64(b.Len())
	return nil
}

func (j *journal) close() error { return j.f.Close() }

// replay takes up what the journal says. New calls it before anything is served.
func (s *Server) replay(e entry) error {
	switch {
	case e.Job != nil && e.Job.ID != "" && e.Job.Project != "" && len(e.Job.Payload) > 0:
		s.add(e.Job)
	case e.Upload != nil && e.Upload.ID != "" && e.Upload.Project != "":
		s.addUpload(e.Upload)
	default:
		return errors.New("the line holds neither a job nor an upload")
	}
	return nil
}
