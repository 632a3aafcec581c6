package scenario

import (
	"reflect"
	"testing"
)

// What an asset says it was made from is kept; what it says nothing of is not there, and nothing odd is stumbled over.
func TestConsumed(t *testing.T) {
	for _, tc := range []struct {
		name, metadata string
		want           map[string][]string
		parent         string
	}{
		{"nothing", `{}`, nil, ""},
		{"no object", `[1]`, nil, ""},
		{"a list", `{"referenceImages":["asset_a","asset_b"],"prompt":"x","seed":3}`, map[string][]string{"referenceImages": {"asset_a", "asset_b"}}, ""},
		{"an empty list says that there was none", `{"referenceImages":[]}`, map[string][]string{"referenceImages": {}}, ""},
		{"null says nothing", `{"referenceImages":null,"image":null}`, nil, ""},
		{"one", `{"image":"asset_a","parentId":"asset_a","parentJobId":"job_x"}`, map[string][]string{"image": {"asset_a"}}, "asset_a"},
		{"lists of other things", `{"tags":["a","asset_b"],"sizes":[1,2],"boxes":[{"x":1}],"parentId":["asset_c"]}`, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, ok := decodeAsset([]byte(`{"id":"asset_1","metadata":` + tc.metadata + `}`))
			if !ok || a.Parent != tc.parent || !reflect.DeepEqual(a.Consumed, tc.want) {
				t.Errorf("%v, parent %q", a.Consumed, a.Parent)
			}
		})
	}
}
