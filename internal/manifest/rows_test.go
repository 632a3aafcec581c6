package manifest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dailies/internal/manifest"
	"dailies/pipeline"
)

// withRows reads a manifest beside a file of rows, and speaks of both without their folder.
func withRows(t *testing.T, name, rows, items string) (*manifest.Manifest, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(name, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	return manifest.Parse("m.yaml", []byte("version: 1\nbatch: test\nvars: {style: ink}\nitems:\n"+items), options())
}

const plainItem = "  - {from: rows.csv, id: \"${name}\", model: dice, prompt: \"${line}\"}\n"

// seen is what the items have of their rows: id, prompt, variables in order.
func seen(m *manifest.Manifest) string {
	var b strings.Builder
	for _, it := range m.Items {
		fmt.Fprintf(&b, "%s=%s", it.ID, it.Prompt)
		for _, c := range it.Columns {
			fmt.Fprintf(&b, "|%s:%s", c, it.Vars[c])
		}
		b.WriteString(";")
	}
	return b.String()
}

func TestRowsInEveryFormSpreadsheetsWrite(t *testing.T) {
	const want = "a=A castle;b=Sea, calm;"
	for name, rows := range map[string]string{
		"commas":                       "name,line\na,A castle\nb,\"Sea, calm\"\n",
		"a mark, CRLF, no last break":  "\ufeffname,line\r\na,A castle\r\nb,\"Sea, calm\"",
		"European Excel":               "name;line\r\na;A castle\r\nb;Sea, calm\r\n",
		"tabs in a .csv":               "name\tline\na\tA castle\nb\tSea, calm\n",
		"a separator Excel is told":    "sep=;\r\nname;line\r\na;A castle\r\nb;Sea, calm\r\n",
		"old Macintosh line breaks":    "name;line\ra;A castle\rb;Sea, calm\r",
		"empty lines and rows":         "\n\r\nname,line\n\n,\na,A castle\n ,\t\n\nb,\"Sea, calm\"\n,,\n\n",
		"spaces around":                " name , line \n a , A castle \n b ,\"Sea, calm\"\n",
		"columns without anything":     "name,line,,\na,A castle,,\nb,\"Sea, calm\",,,,\n",
		"quoted names with separators": "\"name\";\"line\"\na;\"A castle\"\nb;\"Sea, calm\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			m, err := withRows(t, "rows.csv", rows, plainItem)
			if err != nil {
				t.Fatal(report(err))
			}
			got := ""
			for _, it := range m.Items {
				got += it.ID + "=" + it.Prompt + ";"
				if !slices.Equal(it.Columns, []string{"name", "line"}) || it.Vars["line"] != it.Prompt {
					t.Errorf("columns %q, vars %q", it.Columns, it.Vars)
				}
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestRowsAsTabsAndJSONLines(t *testing.T) {
	m, err := withRows(t, "rows.tsv", "name\tline, all of it\na\tx, y; z\n", "  - {from: rows.tsv, id: \"${name}\", model: dice, prompt: \"${line, all of it}\"}\n")
	if err != nil {
		t.Fatal(report(err))
	}
	if got := seen(m); got != "a=x, y; z|name:a|line, all of it:x, y; z;" {
		t.Error(got)
	}
	m, err = withRows(t, "rows.jsonl", "{\"name\": \"a\", \"line\": \"in ${style}\", \"n\": 4}\n\n{\"line\": \"\\ud83d\\ude00\", \"name\": \"b\", \"tags\": [\"x\", {\"y\": null}], \"n\": null}\n",
		"  - {from: rows.jsonl, id: \"${name}\", model: veo-3.1, prompt: \"${line}\", payload: {generateAudio: true, duration: \"${n}\"}}\n")
	if err != nil {
		t.Fatal(report(err))
	}
	if got := seen(m); got != "a=in ink|name:a|line:in ${style}|n:4|tags:;b=😀|name:b|line:😀|n:|tags:[\"x\",{\"y\":null}];" {
		t.Error(got)
	}
	if a, b := m.Items[0].Payload["duration"], m.Items[1].Payload["duration"]; a != json.Number("4") || b != nil {
		t.Errorf("durations %v, %v", a, b)
	}
}

// Cells are values as a manifest's plain ones are: numbers, true and false, references; an empty one is nothing.
func TestCells(t *testing.T) {
	_, err := withRows(t, "rows.csv", "Shot Name,line,seconds,loud,look\nOne,${style} rain,8,TRUE,\"multi\nline \"\"x\"\"\"\nTwo,007,,false,\n",
		"  - {from: rows.csv, id: \"shot-${id}\", matrix: {id: [1]}, model: veo-3.1, prompt: \"${Shot Name}: ${line}.${look}\", payload: {duration: \"${seconds}\", generateAudio: \"${loud}\"}}\n")
	if err == nil || !strings.Contains(err.Error(), "taken by the row in line 2") {
		t.Fatalf("%v", err)
	}
	m, err := withRows(t, "rows.csv", "id,Shot Name,line,seconds,loud,look\none,One,${style} rain,8,TRUE,\"multi\nline \"\"x\"\"\"\ntwo,Two,007,,false,\n",
		"  - {from: rows.csv, id: \"shot-${id}-${side}\", matrix: {side: [l, r]}, repeat: 2, model: veo-3.1, prompt: \"${Shot Name}: ${line}.${look}\", payload: {duration: \"${seconds}\", generateAudio: \"${loud}\"}}\n")
	if err != nil {
		t.Fatal(report(err))
	}
	if ids(m) != "shot-one-l-1 shot-one-l-2 shot-one-r-1 shot-one-r-2 shot-two-l-1 shot-two-l-2 shot-two-r-1 shot-two-r-2" {
		t.Error(ids(m))
	}
	one, two := item(t, m, "shot-one-l-1"), item(t, m, "shot-two-r-2")
	if one.Prompt != "One: ink rain.multi\nline \"x\"" || one.Payload["duration"] != json.Number("8") || one.Payload["generateAudio"] != true {
		t.Errorf("%q %v", one.Prompt, one.Payload)
	}
	if _, has := two.Payload["duration"]; has || two.Prompt != "Two: 007." || two.Payload["generateAudio"] != false {
		t.Errorf("%q %v", two.Prompt, two.Payload)
	}
	if one.Vars["side"] != "l" || one.Vars["line"] != "${style} rain" || slices.Contains(one.Columns, "side") {
		t.Errorf("%v %v", one.Vars, one.Columns)
	}
	if at := (pipeline.Position{File: "rows.csv", Line: 4, Col: 1, Also: &pipeline.Position{File: "m.yaml", Line: 5, Col: 5}}); !reflect.DeepEqual(two.At, at) || two.At.String() != "rows.csv:4:1 (m.yaml:5:5)" {
		t.Errorf("it is at %s", two.At)
	}
	if len(m.Notes) > 0 {
		t.Errorf("notes: %v", m.Notes)
	}
}

func TestRowProblems(t *testing.T) {
	const veo = "  - {from: rows.csv, id: \"${name}\", model: veo-3.1, prompt: \"${line}\", payload: {generateAudio: true, duration: \"${seconds}\"}}\n"
	for _, tt := range []struct {
		name, file, rows, items string
		want                    []string // begins with the place
	}{
		{"a value no model takes", "rows.csv", "name,line,seconds\na,x,4\nb,y,5\nc,z,5\n", veo,
			[]string{"rows.csv:3:5 (m.yaml:5:5): item \"b\": duration is one of", "rows.csv:4:5 (m.yaml:5:5): item \"c\": duration is one of"}},
		{"a column nobody has", "rows.csv", "name,lien\na,x\nb,y\n", plainItem,
			[]string{"m.yaml:5:59 (rows.csv:2:1): item \"a\" and 1 more: ${line} is not defined here | did you mean \"lien\"?"}},
		{"an id that is none", "rows.csv", "name,line\nA Castle,x\n", plainItem, []string{`rows.csv:2:1 (m.yaml:5:5): "A Castle" cannot be an id | : a-castle`}},
		{"an id in parts that is none", "rows.csv", "name,line\nA,x\n", strings.Replace(plainItem, "${name}", "x-${name}", 1), []string{`m.yaml:5:26 (rows.csv:2:1): "x-A" cannot be an id`}},
		{"no id", "rows.csv", "name,line\n,x\n", plainItem, []string{`rows.csv:2:1 (m.yaml:5:5): the id is empty`}},
		{"an id twice", "rows.csv", "name,line\na,x\nb,y\na,z\n", plainItem, []string{`rows.csv:4:1 (m.yaml:5:5): the id "a" is taken by the row in line 2`}},
		{"one id for all", "rows.csv", "name,line\na,x\nb,y\n", strings.Replace(plainItem, "${name}", "same", 1), []string{`m.yaml:5:26 (rows.csv:3:1): the id "same" is taken by the row in line 2 | put a column into it`}},
		{"no prompt", "rows.csv", "name,line\na,\n", plainItem, []string{`rows.csv:2:3 (m.yaml:5:5): item "a": the prompt is empty | fill in the cell`}},
		{"a cell too many", "rows.csv", "name,line\na,Sea, calm\nb,y\n", plainItem, []string{"rows.csv:2:7 (m.yaml:5:5): a cell too many: this row has 3, and the first line names 2 columns | a text with a comma"}},
		{"a cell without a name", "rows.csv", "name,line,\na,x,stray\n", plainItem, []string{"rows.csv:2:5 (m.yaml:5:5): a cell in column 3, which has no name"}},
		{"two columns of one name", "rows.csv", "name,line,name\na,x,y\n", plainItem, []string{`rows.csv:1:11 (m.yaml:5:5): two columns are named "name"`}},
		{"a name that is none", "rows.csv", "name,${line}\na,x\n", plainItem, []string{`rows.csv:1:6 (m.yaml:5:5): "${line}" cannot be a column's name`}},
		{"a name that means something else", "rows.csv", "name,items.line\na,x\n", plainItem, []string{`rows.csv:1:6 (m.yaml:5:5): "items.line" cannot be a column's name`}},
		{"a quote in a cell", "rows.csv", "name,line\na,the \"big\" one\nb,6\" nails\n", plainItem,
			[]string{"rows.csv:2:7 (m.yaml:5:5): a \" in the midst of a cell | twice", "rows.csv:3:4 (m.yaml:5:5): a \" in the midst of a cell"}},
		{"a quote never closed", "rows.csv", "name,line\na,x\nb,\"y\nc,z\n", plainItem, []string{"rows.csv:3:1 (m.yaml:5:5): a cell of this row begins with a \" and goes on to the end"}},
		{"text after a quote", "rows.csv", "name,line\na,\"x\" y\n", plainItem, []string{"rows.csv:2:5 (m.yaml:5:5): a \" that ends a cell has text after it"}},
		{"a reference to nothing in a cell", "rows.csv", "name,line\na,in é ${stile}\n", plainItem, []string{"rows.csv:2:8 (m.yaml:5:5): ${stile} is not defined here | did you mean \"style\"?"}},
		{"nothing", "rows.csv", "", plainItem, []string{"m.yaml:5:12: rows.csv is empty"}},
		{"empty lines alone", "rows.csv", "\n,,\n", plainItem, []string{"rows.csv:1:1 (m.yaml:5:5): the file has no lines | names the columns"}},
		{"names alone", "rows.csv", "name,line\n\n", plainItem, []string{"m.yaml:5:12: rows.csv has no rows"}},
		{"another encoding", "rows.csv", "name,line\na,caf\xe9\n", plainItem, []string{"rows.csv:2:6 (m.yaml:5:5): not UTF-8 | CSV UTF-8"}},
		{"UTF-16", "rows.csv", "\xff\xfen\x00", plainItem, []string{"rows.csv:1:1 (m.yaml:5:5): the file is UTF-16 | CSV UTF-8"}},
		{"a workbook under another name", "rows.csv", "PK\x03\x04\x14", plainItem, []string{"rows.csv:1:1 (m.yaml:5:5): this is a spreadsheet program's own file"}},
		{"a workbook", "rows.xlsx", "PK\x03\x04\x14", strings.Replace(plainItem, "rows.csv", "rows.xlsx", 1), []string{"m.yaml:5:12: rows.xlsx is a spreadsheet program's own file | CSV UTF-8"}},
		{"another form", "rows.txt", "x", strings.Replace(plainItem, "rows.csv", "rows.txt", 1), []string{`m.yaml:5:12: from reads .csv, .tsv and .jsonl files, not "rows.txt"`}},
		{"a slip in the form", "rows.cvs", "x", strings.Replace(plainItem, "rows.csv", "rows.cvs", 1), []string{`m.yaml:5:12: from reads .csv, .tsv and .jsonl files, not "rows.cvs" | did you mean ".csv"?`}},
		{"a control character", "rows.csv", "name,line\na,x\x00\n", plainItem, []string{"rows.csv:2:4 (m.yaml:5:5): a control character"}},
		{"a file nobody has", "row.csv", "name\n", plainItem, []string{"m.yaml:5:12: no file rows.csv | did you mean \"row.csv\"?"}},
		{"a file elsewhere", "rows.csv", "name\n", strings.Replace(plainItem, "rows.csv", "../rows.csv", 1), []string{"m.yaml:5:12: ../rows.csv is outside the manifest's folder"}},
		{"an axis that is a column", "rows.csv", "name,line\na,x\n", strings.Replace(plainItem, "{from", "{matrix: {line: [y]}, from", 1), []string{`m.yaml:5:14: "line" is an axis of the matrix and a column of rows.csv`}},
		{"a line that is no JSON", "rows.jsonl", "{\"name\": \"a\"}\n{\"name\": oh}\n{\"name\": \"c\"\n[1]\n{} {}\n{\"name\": 1, \"name\": 2}\n", strings.Replace(plainItem, "rows.csv", "rows.jsonl", 1),
			[]string{"m.yaml:5:61 (rows.jsonl:1:1): item \"a\": ${line} is not defined here", "rows.jsonl:2:10 (m.yaml:5:5): not JSON", "rows.jsonl:3:13 (m.yaml:5:5): the line ends before its object does",
				"rows.jsonl:4:1 (m.yaml:5:5): a row is an object of names and values, not a list", "rows.jsonl:5:4 (m.yaml:5:5): something stands after the row", "rows.jsonl:6:13 (m.yaml:5:5): \"name\" is given twice"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := withRows(t, tt.file, tt.rows, tt.items)
			ps, ok := err.(manifest.Problems)
			if !ok || len(ps) != len(tt.want) {
				t.Fatalf("%v\nwant %s", report(err), tt.want)
			}
			for i, w := range tt.want {
				w, hint, _ := strings.Cut(w, " | ")
				if got := ps[i].String(); !strings.HasPrefix(got, w) || !strings.Contains(ps[i].Hint, hint) {
					t.Errorf("got  %s | %s\nwant %s | %s", got, ps[i].Hint, w, hint)
				}
			}
		})
	}
}

// A mistake in the manifest is said once, however many rows meet it; one in a cell, for each.
func TestRowProblemsAreCounted(t *testing.T) {
	rows := "name,line\n"
	for i := range 500 {
		rows += fmt.Sprintf("r%d,y\n", i)
	}
	_, err := withRows(t, "rows.csv", rows, strings.Replace(plainItem, "prompt", "payload: {sed: 1}, prompt", 1))
	if ps, ok := err.(manifest.Problems); !ok || len(ps) != 1 || !strings.Contains(ps[0].String(), `item "r0" and 499 more: model_dice has no input "sed"`) {
		t.Errorf("%s", report(err))
	}
}

func TestRowProblemsShowTheRow(t *testing.T) {
	_, err := withRows(t, "rows.csv", "name,line\na,\"世界\"\nb,${nope}\n", plainItem)
	const want = "rows.csv:3:3 (m.yaml:5:5): ${nope} is not defined here\n    b,${nope}\n      ^\n  hint: defined here: style\n"
	if got := report(err); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// The rows are part of what the manifest says: a plan made from others is stale.
func TestTheDigestIsOfTheRowsToo(t *testing.T) {
	digest := func(rows, items string) string {
		m, err := withRows(t, "rows.csv", rows, items)
		if err != nil {
			t.Fatal(report(err))
		}
		return m.SHA256
	}
	one, other := digest("name,line\na,x\n", plainItem), digest("name,line\na,y\n", plainItem)
	if one == other || one != digest("name,line\na,x\n", plainItem) {
		t.Error(one, other)
	}
}

// A hundred thousand rows are read in one go, and what is kept of each is small.
func TestManyRows(t *testing.T) {
	if testing.Short() {
		t.Skip("a file of 100,000 rows")
	}
	var b bytes.Buffer
	b.WriteString("name,line,mood,light,seconds\n")
	for i := range 100_000 {
		fmt.Fprintf(&b, "shot-%06d,\"The hero walks over hill %d, slowly\",calm,dusk,8\n", i, i)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rows.csv"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	m, err := manifest.Parse(filepath.Join(dir, "m.yaml"), []byte("version: 1\nbatch: test\nitems:\n"+plainItem), options())
	if err != nil {
		t.Fatal(report(err))
	}
	took := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(m.Items) != 100_000 || m.Items[99_999].Prompt != "The hero walks over hill 99999, slowly" {
		t.Fatalf("%d items", len(m.Items))
	}
	kept := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / 100_000
	t.Logf("%v, %d bytes kept an item", took.Round(time.Millisecond), kept)
	if kept > 3000 {
		t.Errorf("%d bytes are kept of each item", kept)
	}
	runtime.KeepAlive(m)

	if err := os.WriteFile(filepath.Join(dir, "rows.csv"), append(b.Bytes(), "one-too-many,x,,,\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = manifest.Parse(filepath.Join(dir, "m.yaml"), []byte("version: 1\nbatch: test\nitems:\n"+plainItem), options())
	if err == nil || !strings.Contains(err.Error(), "more than 100000 items") {
		t.Errorf("%v", err)
	}
}
