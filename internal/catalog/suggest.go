package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// roles are names that different models give to the same thing. A wrong key is most often another model's.
var roles = [][]string{
	{"image", "startImage", "imageUrl", "firstFrame", "firstFrameImage", "startFrame", "inputImage", "sourceImage", "init_image"},
	{"lastFrameImage", "endImage", "lastFrame", "endFrame", "tailImage"},
	{"referenceImages", "images", "referenceImage", "references", "imageRef", "refImageUrls", "characterReferenceImages", "image"},
	{"image", "images", "referenceImages"},
	{"video", "videoUrl", "referenceVideo", "inputVideo", "sourceVideo", "videos", "referenceVideos"},
	{"audio", "audioUrl", "audioFile", "srcAudio", "referenceAudio", "inputAudio"},
	{"generateAudio", "keepAudio", "keepOriginalSound", "audio", "sound", "withAudio", "enableAudio"},
	{"prompt", "text", "textPrompt", "description", "multiPrompt"},
	{"negativePrompt", "negative"},
	{"aspectRatio", "ratio", "aspect", "imageSize", "size"},
	{"resolution", "quality", "mode", "size", "imageSize", "targetResolution"},
	{"duration", "durationSeconds", "length", "seconds"},
	{"fps", "frameRate", "framesPerSecond", "targetFps"},
	{"cfgScale", "guidanceScale", "guidance", "cfg", "promptInfluence"},
	{"steps", "numInferenceSteps", "numSteps", "inferenceSteps"},
	{"numOutputs", "numSamples", "numImages", "numberOfImages", "count", "n"},
	{"targetPolycount", "polycount", "faceLimit", "faceCount"},
	{"model", "mesh", "file3d", "characterFile", "characterModel"},
	{"textureResolution", "textureSize"},
	{"voiceId", "publicVoice", "voice"},
}

// suggest says what to type instead of a key that is no input, and which input that is ("" when there is no telling).
func suggest(list []Input, key string, m *Model) (hint, name string) {
	if name := meant(list, key); name != "" {
		return "did you mean " + name + "?", name
	}
	const most = 16
	var all []string
	for _, in := range list {
		all = append(all, in.Name)
	}
	if len(all) > most {
		return fmt.Sprintf("dailies models %s lists its %d inputs", strings.TrimPrefix(m.ID, "model_"), len(all)), ""
	}
	if len(all) == 0 {
		return "it takes no inputs", ""
	}
	return "it takes " + strings.Join(all, ", "), ""
}

func meant(list []Input, key string) string {
	typed := letters(key)
	for _, in := range list {
		if letters(in.Name) == typed {
			return in.Name // aspect_ratio, AspectRatio
		}
	}
	for _, role := range roles {
		if !slices.ContainsFunc(role, func(r string) bool { return letters(r) == typed }) {
			continue
		}
		for _, other := range role {
			if _, ok := input(list, other); ok {
				return other
			}
		}
	}
	best, limit := "", min(max(1, len(typed)/3), 4)
	for _, in := range list {
		if d, ok := within(limit, typed, letters(in.Name)); ok {
			best, limit = in.Name, d-1
		}
	}
	return best
}

func letters(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
}
