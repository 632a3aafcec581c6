package pipeline

import (
	"cmp"
	"fmt"
	"mime"
	"path"
	"slices"
	"strconv"
	"strings"
)

// An Expect says what an item's files must be like to be accepted; nil accepts all. It is no part of the fingerprint:
// when it changes, what is delivered is judged again, and nothing is bought for that.
type Expect struct {
	Checks  []Check
	Rerolls int // times to buy anew, by itself, what was rejected
}

// A Check is one condition on a file.
type Check struct {
	Of       Measure
	Min, Max float64  // of the measures that are numbers, both included; +Inf is no upper bound
	Words    []string // of kind and type: one of these
	Is       bool     // of audio, silent, blank and alpha
	Written  string   // as the user wrote it: "duration: 5s"
}

// A Measure is what a check looks at.
type Measure string

const (
	MeasureKind      Measure = "kind"      // image, video, audio, 3d, ...
	MeasureType      Measure = "type"      // the MIME type, or the extension
	MeasureWidth     Measure = "width"     // pixels
	MeasureHeight    Measure = "height"    // pixels
	MeasureAspect    Measure = "aspect"    // width by height
	MeasureDuration  Measure = "duration"  // seconds
	MeasureBytes     Measure = "bytes"     // the file's size
	MeasureTriangles Measure = "triangles" // of a 3D model
	MeasureMaterials Measure = "materials" // of a 3D model
	MeasureAudio     Measure = "audio"     // there is a sound track
	MeasureSilent    Measure = "silent"    // nothing is to be heard
	MeasureBlank     Measure = "blank"     // a picture of one colour
	MeasureAlpha     Measure = "alpha"     // some pixel is not opaque
)

// deep are the measures for which a file must be unpacked, and not merely read.
var deep = []Measure{MeasureSilent, MeasureBlank, MeasureAlpha}

// examines reports whether the checks need files to be unpacked.
func (e *Expect) examines() bool {
	return e != nil && slices.ContainsFunc(e.Checks, func(c Check) bool { return slices.Contains(deep, c.Of) })
}

// A verdict is what the checks say of an item's files.
type verdict struct {
	failed  []string // what a file is and should not be
	untold  []string // what cannot be told of a file
	another bool     // a closer look at the file may tell it
}

// judge holds an item's files against its checks: those of the kind that is expected, or else that the model is for.
// A 3D model's thumbnail is not asked for its triangles.
func (it *Item) judge(outputs []Output) (v verdict) {
	if it.Expect == nil {
		return v
	}
	meant := outputs
	for _, kind := range [][]string{it.Expect.kinds(), {it.Makes}} {
		if of := ofKind(outputs, kind); len(of) > 0 {
			meant = of
			break
		}
	}
	for _, o := range meant {
		for _, c := range it.Expect.Checks {
			got, ok := c.holds(o)
			switch {
			case ok:
			case got == "":
				v.untold = append(v.untold, fmt.Sprintf("%s: its %s cannot be told of %s (expected %s)", o.Key, c.Of, cmp.Or(o.MIME, "this file"), c.Written))
				v.another = v.another || !o.Examined
			default:
				v.failed = append(v.failed, fmt.Sprintf("%s: %s (expected %s)", o.Key, got, c.Written))
			}
		}
	}
	return v
}

func (e *Expect) kinds() []string {
	for _, c := range e.Checks {
		if c.Of == MeasureKind {
			return c.Words
		}
	}
	return nil
}

func ofKind(outputs []Output, kinds []string) (of []Output) {
	for _, o := range outputs {
		if slices.Contains(kinds, o.Kind) {
			of = append(of, o)
		}
	}
	return of
}

// err is the verdict as an error, nil when everything is as expected. What cannot be told is not accepted: whoever
// asks for a check relies on it.
func (v verdict) err() *Error {
	if len(v.failed)+len(v.untold) == 0 {
		return nil
	}
	e := Errorf(CodeRejected, "not as expected: %s", strings.Join(append(slices.Clone(v.failed), v.untold...), "; "))
	if len(v.failed) == 0 {
		e.Hint = "nothing is known to be wrong with the file: look at it, and take out of expect: what cannot be told of such files"
	}
	return e
}

// holds says whether a file passes the check, and what it is: nothing when that is not known.
func (c Check) holds(o Output) (got string, ok bool) {
	between := func(known bool, v float64, words string) (string, bool) {
		if !known {
			return "", false
		}
		return words, v >= c.Min && v <= c.Max
	}
	whether := func(is *bool, yes, no string) (string, bool) {
		switch {
		case is == nil:
			return "", false
		case *is:
			return yes, c.Is
		}
		return no, !c.Is
	}
	count := func(n *int, one string) (string, bool) {
		if n == nil {
			return "", false
		}
		return between(true, float64(*n), Count(*n, one))
	}
	switch sized := o.Width > 0 && o.Height > 0; c.Of {
	case MeasureKind:
		return "it is " + cmp.Or(o.Kind, "of no known kind"), slices.Contains(c.Words, o.Kind)
	case MeasureType:
		return "it is " + o.MIME, slices.ContainsFunc(c.Words, func(w string) bool { return isType(o, w) })
	case MeasureWidth:
		return between(o.Width > 0, float64(o.Width), fmt.Sprintf("it is %d pixels wide", o.Width))
	case MeasureHeight:
		return between(o.Height > 0, float64(o.Height), fmt.Sprintf("it is %d pixels high", o.Height))
	case MeasureAspect:
		return between(sized, float64(o.Width)/float64(max(o.Height, 1)), fmt.Sprintf("it is %dx%d", o.Width, o.Height))
	case MeasureDuration:
		return between(o.Duration > 0, o.Duration, "it lasts "+strconv.FormatFloat(o.Duration, 'f', 2, 64)+"s")
	case MeasureBytes:
		return between(true, float64(o.Bytes), fmt.Sprintf("it has %d bytes", o.Bytes))
	case MeasureTriangles:
		return count(o.Triangles, "triangle")
	case MeasureMaterials:
		return count(o.Materials, "material")
	case MeasureAudio:
		is := o.Audio
		if is == nil && o.Kind == "audio" {
			is = new(true)
		}
		return whether(is, "it has a sound track", "it has no sound track")
	case MeasureSilent:
		return whether(o.Silent, "it is silent", "it is not silent")
	case MeasureBlank:
		return whether(o.Blank, "it is all of one colour", "it is not all of one colour")
	case MeasureAlpha:
		return whether(o.Alpha, "parts of it are transparent", "no part of it is transparent")
	}
	return "", false
}

// isType reports whether a word names the file's type: "video/mp4", "mp4" or ".mp4".
func isType(o Output, word string) bool {
	if strings.Contains(word, "/") {
		base, _, err := mime.ParseMediaType(o.MIME)
		return err == nil && strings.EqualFold(base, word)
	}
	return strings.EqualFold(strings.TrimPrefix(path.Ext(o.Key), "."), strings.TrimPrefix(word, "."))
}

// refusal is why what is delivered is not accepted; nil when it is, or when nothing is delivered.
func (t *task) refusal() *Error {
	if !t.in(Stored) {
		return nil
	}
	if t.withoutInput() {
		return t.rec.Error.again()
	}
	v := t.it.judge(t.rec.Outputs)
	if t.left && v.another && len(v.failed) == 0 {
		return nil // whoever makes it takes the closer look
	}
	return v.err()
}

// withoutInput reports whether what is delivered was made without an input that was sent.
func (t *task) withoutInput() bool {
	return t.rec.Error != nil && t.rec.Error.Code == CodeInputDropped
}

// rerolls reports whether what was rejected is to be bought anew without being told to. It is not where nothing but
// our own sight is wanting, nor where the API would only drop the same input again.
func (t *task) rerolls() bool {
	return t.in(Stored) && !t.withoutInput() && t.it.Expect != nil && t.rec.Rerolls < t.it.Expect.Rerolls && len(t.it.judge(t.rec.Outputs).failed) > 0
}

// judged returns the error of a walk that has ended in a delivery.
func (t *task) judged() error {
	if e := t.refusal(); e != nil {
		return e
	}
	return nil
}

// judgeAgain holds what earlier runs delivered against what the manifest expects now.
func (r *run) judgeAgain(t *task) {
	if !t.in(Stored) || t.redo {
		return
	}
	if !t.left && t.it.judge(t.rec.Outputs).another {
		t.drift, t.closer = "its checks ask what was not looked at when it was delivered", true
		t.rec.State = Succeeded // its asset is fetched again, for nothing
		return
	}
	refusal := t.refusal()
	t.redo = !t.left && refusal != nil && (t.rerolls() || slices.Contains(r.Retry, refusal.Code))
}
