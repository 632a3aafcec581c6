package media

import (
	"encoding/binary"
	"encoding/json"

	"dailies/pipeline"
)

// glb is the probe of binary glTF: how many triangles and materials the model has, and how long its longest animation
// plays, which is the greatest time among the inputs of its samplers (glTF demands that it be stated).
type glb struct {
	walker
	found pipeline.Facts
}

func newGLB() *glb {
	g := new(glb)
	g.walker = walker{step: g.header, want: 20}
	return g
}

// header is the step over file header and JSON chunk header.
func (g *glb) header(b []byte) (int64, int) {
	size := int64(binary.LittleEndian.Uint32(b[12:]))
	if string(b[:4]) != "glTF" || string(b[16:20]) != "JSON" || size == 0 || size > maxPiece {
		return 0, 0
	}
	g.step = g.scene
	return 20, int(size)
}

func (g *glb) scene(b []byte) (int64, int) {
	var scene struct {
		Animations []struct {
			Samplers []struct{ Input int }
		}
		Accessors []struct {
			Max   []float64
			Count int
		}
		Meshes []struct {
			Primitives []struct {
				Mode       *int
				Indices    *int
				Attributes map[string]int
			}
		}
		Materials []struct{}
	}
	if json.Unmarshal(b, &scene) != nil {
		return 0, 0
	}
	triangles := 0
	for _, m := range scene.Meshes {
		for _, p := range m.Primitives {
			corners := p.Indices
			if at, ok := p.Attributes["POSITION"]; ok && corners == nil {
				corners = &at
			}
			if corners == nil || *corners < 0 || *corners >= len(scene.Accessors) {
				continue
			}
			n := max(0, scene.Accessors[*corners].Count)
			switch mode := p.Mode; {
			case mode == nil || *mode == 4: // triangles
				triangles += n / 3
			case *mode == 5 || *mode == 6: // a strip, a fan
				triangles += max(0, n-2)
			}
		}
	}
	g.found.Triangles, g.found.Materials = &triangles, new(len(scene.Materials))
	for _, a := range scene.Animations {
		for _, s := range a.Samplers {
			if s.Input >= 0 && s.Input < len(scene.Accessors) && len(scene.Accessors[s.Input].Max) == 1 {
				g.found.Duration = max(g.found.Duration, plausible(scene.Accessors[s.Input].Max[0]))
			}
		}
	}
	return 0, 0
}

func (g *glb) facts() pipeline.Facts { return g.found }
