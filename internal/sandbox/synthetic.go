package sandbox

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
)

// synthetic is a file of a given size that is computed as it is read: it begins as its type does (a clip that plays,
// where that fits), goes on with noise that depends on the asset and the place alone, and takes no memory.
type synthetic struct {
	head []byte
	size int64
	seed uint64
	pos  int64
}

func newSynthetic(a *asset) *synthetic {
	o := a.output()
	return &synthetic{head: syntheticHead(o), size: o.Bytes, seed: hash64(o.ID)}
}

// syntheticHead is how the file begins; of an MP4 with the header of a box that holds all the noise.
func syntheticHead(o *output) []byte {
	switch o.Form {
	case mp4:
		head, err := fs.ReadFile(clips, "media/16x9-2s-sound.mp4")
		if err != nil || int64(len(head))+16 > o.Bytes {
			head = []byte("\x00\x00\x00\x14ftypisom\x00\x00\x02\x00isom")
		}
		rest := o.Bytes - int64(len(head))
		head = append(head, "\x00\x00\x00\x01free"...) // 1: the length follows in 64 bits
		return binary.BigEndian.AppendUint64(head, uint64(max(16, rest)))
	case wav:
		return wave(nil, o.ID)
	case glb:
		return []byte("glTF\x02\x00\x00\x00")
	case txt:
		return []byte("SIMULATED ")
	case jpg:
		return []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
	}
	header := []byte("IHDR\x00\x00\x00\x00\x00\x00\x00\x00\x08\x02\x00\x00\x00")
	binary.BigEndian.PutUint32(header[4:], uint32(o.W))
	binary.BigEndian.PutUint32(header[8:], uint32(o.H))
	head := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), header...)
	return binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(header))
}

func (s *synthetic) Read(p []byte) (int, error) {
	if s.pos >= s.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), s.size-s.pos)]
	n := 0
	if s.pos < int64(len(s.head)) {
		n = copy(p, s.head[s.pos:])
	}
	for n < len(p) {
		at := s.pos + int64(n)
		word := noise(s.seed, uint64(at)/8)
		if at%8 == 0 && len(p)-n >= 8 {
			binary.LittleEndian.PutUint64(p[n:], word)
			n += 8
			continue
		}
		p[n] = byte(word >> (8 * (at % 8)))
		n++
	}
	s.pos += int64(n)
	return n, nil
}

func (s *synthetic) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.pos
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	s.pos = offset
	return offset, nil
}

// noise is the n-th word of a stream: splitmix64.
func noise(seed, n uint64) uint64 {
	z := seed + (n+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
