package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

const (
	meshSplits = 2
	meshFaces  = 20 << (2 * meshSplits)
)

type vec [3]float64

func (a vec) add(b vec) vec       { return vec{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }
func (a vec) sub(b vec) vec       { return vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }
func (a vec) scale(f float64) vec { return vec{a[0] * f, a[1] * f, a[2] * f} }
func (a vec) unit() vec           { return a.scale(1 / math.Sqrt(a[0]*a[0]+a[1]*a[1]+a[2]*a[2])) }
func (a vec) cross(b vec) vec {
	return vec{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

// icosahedron is where the mesh begins.
func icosahedron() (corners []vec, faces [][3]int) {
	g := (1 + math.Sqrt(5)) / 2
	for _, a := range []float64{-1, 1} {
		for _, b := range []float64{-g, g} {
			corners = append(corners, vec{0, a, b}.unit(), vec{a, b, 0}.unit(), vec{b, 0, a}.unit())
		}
	}
	// Its faces are the triples of corners that are each other's nearest.
	near := func(i, j int) bool {
		d := corners[i].sub(corners[j])
		return d[0]*d[0]+d[1]*d[1]+d[2]*d[2] < 1.2
	}
	for i := range corners {
		for j := i + 1; j < len(corners); j++ {
			for k := j + 1; k < len(corners); k++ {
				if near(i, j) && near(j, k) && near(i, k) {
					faces = append(faces, [3]int{i, j, k})
				}
			}
		}
	}
	return corners, faces
}

// mesh is a faceted, coloured stone of its own for every seed, as binary glTF.
func mesh(seed uint64, mark string) ([]byte, error) {
	corners, faces := icosahedron()
	triangles := make([][3]vec, 0, meshFaces)
	for _, f := range faces {
		triangles = append(triangles, [3]vec{corners[f[0]], corners[f[1]], corners[f[2]]})
	}
	for range meshSplits {
		var finer [][3]vec
		for _, t := range triangles {
			ab, bc, ca := t[0].add(t[1]).unit(), t[1].add(t[2]).unit(), t[2].add(t[0]).unit()
			finer = append(finer, [3]vec{t[0], ab, ca}, [3]vec{ab, t[1], bc}, [3]vec{ca, bc, t[2]}, [3]vec{ab, bc, ca})
		}
		triangles = finer
	}
	phase := float64(seed%628) / 100
	wave := 2 + float64(seed>>16%5)
	carve := func(p vec) vec {
		return p.scale(1 + 0.13*math.Sin(wave*p[0]+phase)*math.Cos(wave*p[1]-phase) + 0.08*math.Sin(3*wave*p[2]+phase))
	}
	var positions, normals, colours []byte
	least, most := vec{9, 9, 9}, vec{-9, -9, -9}
	put := func(b []byte, v vec) []byte {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		}
		return b
	}
	for i, t := range triangles {
		a, b, c := carve(t[0]), carve(t[1]), carve(t[2])
		n := b.sub(a).cross(c.sub(a)).unit()
		if out := a.add(b).add(c); n[0]*out[0]+n[1]*out[1]+n[2]*out[2] < 0 { // faces look outward
			b, c, n = c, b, n.scale(-1)
		}
		tint := hsl(float64(seed%360)/360+0.1*math.Sin(float64(i)), 0.55, 0.55)
		for _, p := range []vec{a, b, c} {
			positions = put(positions, p)
			normals = put(normals, n)
			colours = append(colours, tint.R, tint.G, tint.B, 255)
			for k := range p {
				x := float64(float32(p[k]))
				least[k], most[k] = min(least[k], x), max(most[k], x)
			}
		}
	}
	return binaryGLTF(positions, normals, colours, least, most, mark)
}

func binaryGLTF(positions, normals, colours []byte, least, most vec, mark string) ([]byte, error) {
	data := append(append(append([]byte{}, positions...), normals...), colours...)
	count := len(positions) / 12
	view := func(from, length int) map[string]any {
		return map[string]any{"buffer": 0, "byteOffset": from, "byteLength": length, "target": 34962}
	}
	doc, err := json.Marshal(map[string]any{
		"asset":  map[string]any{"version": "2.0", "generator": simulated(mark), "extras": map[string]any{"simulated": true}},
		"scene":  0,
		"scenes": []any{map[string]any{"nodes": []int{0}}},
		"nodes":  []any{map[string]any{"mesh": 0, "name": "SIMULATED"}},
		"meshes": []any{map[string]any{"primitives": []any{map[string]any{
			"attributes": map[string]int{"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}, "material": 0,
		}}}},
		"materials": []any{map[string]any{"pbrMetallicRoughness": map[string]any{"metallicFactor": 0.1, "roughnessFactor": 0.6}}},
		"buffers":   []any{map[string]any{"byteLength": len(data)}},
		"bufferViews": []any{
			view(0, len(positions)), view(len(positions), len(normals)), view(len(positions)+len(normals), len(colours)),
		},
		"accessors": []any{
			map[string]any{"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3", "min": least, "max": most},
			map[string]any{"bufferView": 1, "componentType": 5126, "count": count, "type": "VEC3"},
			map[string]any{"bufferView": 2, "componentType": 5121, "normalized": true, "count": count, "type": "VEC4"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	for len(doc)%4 != 0 {
		doc = append(doc, ' ')
	}
	for len(data)%4 != 0 {
		data = append(data, 0)
	}
	b := []byte("glTF")
	word := func(n int) { b = binary.LittleEndian.AppendUint32(b, uint32(n)) }
	word(2)
	word(12 + 8 + len(doc) + 8 + len(data))
	word(len(doc))
	b = append(append(b, "JSON"...), doc...)
	word(len(data))
	return append(append(b, "BIN\x00"...), data...), nil
}
