package pipeline

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// dropped compares what an asset says it was made from with what was sent, and says which asset was sent in vain: the
// API takes what it does not understand without a word, and charges for it. It judges only the inputs of which the
// asset says something. Empty means that nothing is known to be missing.
func dropped(payload json.RawMessage, made Asset) (input, missing string) {
	var sent map[string]any
	if json.Unmarshal(payload, &sent) != nil {
		return "", ""
	}
	var all []string
	var only string
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		ids := assetIDs(sent[name])
		if len(ids) == 0 {
			continue
		}
		all, only = append(all, ids...), name
		says, ok := made.Consumed[name]
		if !ok {
			continue
		}
		for _, id := range ids {
			if !slices.Contains(says, id) {
				return name, id
			}
		}
	}
	// Of a single asset that was sent, the parent says the same in other words.
	if len(all) == 1 && made.Parent != "" && made.Consumed[only] == nil && made.Parent != all[0] {
		return only, all[0]
	}
	return "", ""
}

// assetIDs are the asset ids that an input holds: one, or a list of them.
func assetIDs(v any) []string {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "asset_") {
			return []string{v}
		}
	case []any:
		var ids []string
		for _, e := range v {
			if id, ok := e.(string); ok && strings.HasPrefix(id, "asset_") {
				ids = append(ids, id)
			}
		}
		return ids
	}
	return nil
}

// unused says what of the payload the job did not use; nil when nothing is known to be. Only the assets of the kind the
// model is for are heard: others may be made from those.
func (t *task) unused(assets []Asset) *Error {
	for _, a := range assets {
		if t.it.Makes != "" && a.Kind != t.it.Makes || slices.Contains(t.rec.AssetIDs, a.Parent) {
			continue
		}
		if input, missing := dropped(t.rec.Payload, a); input != "" {
			return Errorf(CodeInputDropped, "job %s was made without %s, which was sent as %s: its asset %s does not list it", t.rec.JobID, missing, input, a.ID)
		}
	}
	return nil
}
