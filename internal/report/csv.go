package report

import (
	"encoding/csv"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"dailies/pipeline"
)

// byteOrderMark tells Excel, which is what opens results.csv, that the file is UTF-8; without it prompts in most of
// the world's languages come out wrong. Programs read results.json.
const byteOrderMark = "\ufeff"

var csvHead = []string{
	"id", "status", "model", "prompt", "files", "bytes", "generation_s", "seed", "quoted_cu", "cost_cu", "attempts", "tags",
	"job_id", "submitted_at", "finished_at", "delivered_at", "error_code", "error", "hint",
}

// WriteCSV writes results.csv: one row an item in manifest order (RFC 4180, UTF-8 with a byte order mark). The columns
// of the files of rows that items come from are in front, as they were; a column of ours that has the name of one of
// those is called dailies.NAME. Then comes what became of the item, several files or tags in one cell on a line each,
// and a column vars.NAME for every other variable. Text that a spreadsheet would run as a formula has a ' before it.
func WriteCSV(w io.Writer, _ Run, s *pipeline.Summary) error {
	if _, err := io.WriteString(w, byteOrderMark); err != nil {
		return err
	}
	own := columns(s)
	names := map[string]bool{}
	for i := range s.Outcomes {
		for name := range s.Outcomes[i].Item.Vars {
			names[name] = true
		}
	}
	var head []string
	for _, name := range own {
		delete(names, name)
		head = append(head, text(name))
	}
	for _, name := range csvHead {
		if slices.Contains(own, name) {
			name = "dailies." + name
		}
		head = append(head, name)
	}
	vars := slices.Sorted(maps.Keys(names))
	for _, name := range vars {
		head = append(head, text("vars."+name))
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	_ = out.Write(head) // errors stay: Flush and Error tell
	for i := range s.Outcomes {
		values := s.Outcomes[i].Item.Vars
		var row []string
		for _, name := range own {
			row = append(row, text(values[name]))
		}
		row = append(row, csvRow(&s.Outcomes[i])...)
		for _, name := range vars {
			row = append(row, text(values[name]))
		}
		_ = out.Write(row)
	}
	out.Flush()
	return out.Error()
}

// columns are those of all files of rows the items come from, in the order of the manifest and of each file.
func columns(s *pipeline.Summary) []string {
	var all []string
	var last []string // items of one file share their list
	for i := range s.Outcomes {
		own := s.Outcomes[i].Item.Columns
		if len(own) == 0 || len(own) == len(last) && &own[0] == &last[0] {
			continue
		}
		last = own
		for _, name := range own {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

func csvRow(o *pipeline.Outcome) []string {
	var files []string
	for _, out := range o.Outputs {
		files = append(files, out.Key)
	}
	row := []string{
		text(o.Item.ID), string(o.Status), text(o.Item.Model), text(o.Item.Prompt), text(strings.Join(files, "\n")),
		"", "", o.Seed.String(), amount(o.Quoted), amount(o.Cost), strconv.Itoa(o.Attempts), text(strings.Join(o.Item.Tags, "\n")),
		text(o.JobID), moment(o.SubmittedAt), moment(o.FinishedAt), moment(o.DeliveredAt), "", "", "",
	}
	if len(o.Outputs) > 0 {
		row[5] = strconv.FormatInt(o.Bytes(), 10)
	}
	if d := o.Generation(); d > 0 {
		row[6] = strconv.FormatFloat(d.Seconds(), 'f', 1, 64)
	}
	if o.Err != nil {
		row[16], row[17], row[18] = string(o.Err.Code), text(o.Err.Error()), text(o.Err.HintText())
	}
	return row
}

// text guards a cell against being taken for a formula, however its first character is hidden, and leaves out the
// control characters that spreadsheets stumble over and terminals obey.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
	if strings.IndexAny(strings.TrimLeft(s, " \u00a0\ufeff"), "=+-@\t\n|%") == 0 {
		return "'" + s
	}
	return s
}

func amount(cu *pipeline.CU) string {
	if cu == nil {
		return ""
	}
	return cu.String()
}

// moment writes a time as spreadsheets read it, in UTC.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateTime)
}
