package manifests_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"dailies/manifests"
)

func TestStarters(t *testing.T) {
	if want := []string{"character", "cutscene", manifests.First, "icons", "image-to-video", "music", "sprites"}; !slices.Equal(manifests.List(), want) {
		t.Fatalf("starters %v", manifests.List())
	}
	for _, name := range manifests.List() {
		text, err := manifests.Named(name, "dragon-realm")
		if err != nil {
			t.Fatal(err)
		}
		if about := manifests.About(name); about == "" || len(about) > 110 || strings.Contains(about, "#") {
			t.Errorf("starter %s is about %q", name, about)
		}
		for _, want := range []string{"\nversion: 1\n", "\nbatch: dragon-realm", "dragon-realm.yaml"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("starter %s does not hold %q", name, want)
			}
		}
		for _, no := range []string{"{{", "refs/", "\t"} {
			if strings.Contains(string(text), no) {
				t.Errorf("starter %s holds %q", name, no)
			}
		}
	}
	for starter, batch := range map[string]string{"none": "b", manifests.First: "Not A Name", "../veo": "b"} {
		if _, err := manifests.Named(starter, batch); err == nil || !strings.Contains(err.Error(), "first") && !strings.Contains(err.Error(), "a-z") {
			t.Errorf("%s, %s: %v", starter, batch, err)
		}
	}
}

// An example says in its first lines how it is run, is named like its batch, and every picture is used by one.
func TestExamples(t *testing.T) {
	names, err := fs.Glob(manifests.Examples, "*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("%v, %v", names, err)
	}
	var all strings.Builder
	for _, name := range names {
		text, err := fs.ReadFile(manifests.Examples, name)
		if err != nil {
			t.Fatal(err)
		}
		header, body, _ := strings.Cut(string(text), "\nversion: 1\n")
		if !strings.HasPrefix(header, "# ") || !strings.Contains(header, "dailies run manifests/"+name+" --sandbox") {
			t.Errorf("%s does not say how it is run", name)
		}
		if !strings.HasPrefix(body, "batch: "+strings.TrimSuffix(name, ".yaml")+"\n") {
			t.Errorf("%s is not named like its batch", name)
		}
		all.WriteString(body)
	}
	pictures, err := fs.Glob(manifests.Examples, "refs/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pictures {
		if !strings.Contains(all.String(), p) {
			t.Errorf("%s is used by no example", p)
		}
	}
}
