package media

import (
	"encoding/binary"
	"encoding/json"

	"dailies/pipeline"
)

// glb is the probe of binary glTF. The only fact a model has for a report is how long its longest animation plays:
// the greatest time among the inputs of its samplers, which glTF demands to be stated.
type glb struct {
	walker
	duration float64
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
		Accessors []struct{ Max []float64 }
	}
	if json.Unmarshal(b, &scene) != nil {
		return 0, 0
	}
	for _, a := range scene.Animations {
		for _, s := range a.Samplers {
			if s.Input >= 0 && s.Input < len(scene.Accessors) && len(scene.Accessors[s.Input].Max) == 1 {
				g.duration = max(g.duration, plausible(scene.Accessors[s.Input].Max[0]))
			}
		}
	}
	return 0, 0
}

func (g *glb) facts() pipeline.Facts { return pipeline.Facts{Duration: g.duration} }
