package catalog

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// orList joins choices as people say them: "4, 6 or 8".
func orList(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " or " + items[len(items)-1]
}

// show writes a JSON value as one would type it in a manifest: text in quotation marks where YAML would read
// something else without them.
func show(v any) string {
	switch v := v.(type) {
	case string:
		if plain(v) {
			return v
		}
		return quote(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case nil:
		return "null"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a file"
}

// quote is s in quotation marks, cut where it is long.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:57]) + "..."
	}
	return strconv.Quote(s)
}

func plain(s string) bool {
	if s == "" || len(s) > 60 || slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off"}, strings.ToLower(s)) {
		return false
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

// showNumber writes a limit without needless digits.
func showNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// choices lists allowed values, runs of whole numbers shortened: "-1 or 4 to 15".
func choices(allowed []any) string {
	const most = 12
	var parts []string
	for i := 0; i < len(allowed); {
		end := i + 1
		for end < len(allowed) && follows(allowed[end-1], allowed[end]) {
			end++
		}
		if end-i >= 4 {
			parts = append(parts, show(allowed[i])+" to "+show(allowed[end-1]))
			i = end
			continue
		}
		parts = append(parts, show(allowed[i]))
		i++
	}
	if len(parts) > most {
		return strings.Join(parts[:most], ", ") + " or " + strconv.Itoa(len(parts)-most) + " more"
	}
	return orList(parts)
}

// follows tells whether b is the whole number after a, both written the same way.
func follows(a, b any) bool {
	x, xText := a.(string)
	y, yText := b.(string)
	if !xText && !yText {
		x, y = show(a), show(b)
	} else if xText != yText {
		return false
	}
	i, err := strconv.Atoi(x)
	j, err2 := strconv.Atoi(y)
	return err == nil && err2 == nil && j == i+1
}

// within is the [distance] of a and b, if it is no more than limit.
func within(limit int, a, b string) (d int, ok bool) {
	if longer := len(a) - len(b); longer > 4*limit || -longer > 4*limit { // a letter has at most 4 bytes
		return 0, false
	}
	d = distance(a, b)
	return d, d <= limit
}

// distance is how many letters must be added, left out, replaced or swapped with their neighbour to make b of a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, prev, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(y)]
}
