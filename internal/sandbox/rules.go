package sandbox

import (
	"encoding/json"
	"fmt"
)

// A rule is what a model's inputs must be to each other; no model record says it. [CODE][DOC] the vendors' model pages
type rule struct {
	models []string
	broken func(values) string // the reason of a 400, "" when the rule holds
}

var rules = []rule{
	{[]string{"model_veo3-1", "model_veo3-1-fast"}, veoReferences},
	{[]string{
		"model_kling-v3-t2v-standard", "model_kling-v3-t2v-pro", "model_kling-v3-t2v-4k",
		"model_kling-v3-i2v-standard", "model_kling-v3-i2v-pro", "model_kling-v3-i2v-4k",
	}, klingPrompts},
	{[]string{"model_kling-v3-omni-video"}, klingOmni},
	{[]string{"model_kling-v2-6-i2v-pro"}, func(v values) string {
		return exclude(v.flag("generateAudio"), v.has("lastFrameImage"), "generateAudio", "lastFrameImage")
	}},
	{[]string{"model_kling-o1-r2v"}, func(v values) string { return together(v, 7) }},
	{[]string{"model_kling-o1-video-reference", "model_kling-o1-video-edit"}, func(v values) string { return together(v, 4) }},
	{[]string{"model_kling-lip-sync"}, func(v values) string {
		return exclude(v.has("audioFile"), v.has("text"), "audioFile", "text")
	}},
	{[]string{"model_alibaba-happy-horse-reference-to-video", "model_alibaba-happy-horse-reference-to-video-1.1"}, func(v values) string {
		return atMost(v, "referenceImages", 9)
	}},
	{[]string{"model_bytedance-seedance-2-0"}, func(v values) string {
		if v.has("referenceAudio") && !v.has("referenceImages") && !v.has("referenceVideos") {
			return "Input referenceAudio needs referenceImages or referenceVideos"
		}
		return exclude(v.has("image"), v.has("referenceImages") || v.has("referenceVideos"), "image", "referenceImages or referenceVideos")
	}},
	{[]string{"model_meshy-txt23d", "model_meshy-7-txt23d", "model_meshy-img23d"}, func(v values) string {
		if v.text("textureResolution") == "8k" && v.flag("shouldRemesh") && v.text("topology") == "quad" {
			return "Input textureResolution 8k needs topology triangle when shouldRemesh is on"
		}
		return ""
	}},
}

// together holds Kling O1's pictures and elements to one limit.
func together(v values, n int) string {
	if v.count("images")+v.count("elements") > n {
		return fmt.Sprintf("Inputs images and elements must have at most %d items together", n)
	}
	return ""
}

func veoReferences(v values) string {
	if !v.has("referenceImages") {
		return ""
	}
	if p := exclude(v.has("image"), true, "image", "referenceImages"); p != "" {
		return p
	}
	if n, _ := v.number("duration"); n != 8 {
		return "Input duration must be 8 when referenceImages is given"
	}
	if v.text("aspectRatio") == "9:16" {
		return "Input aspectRatio 9:16 is not supported with referenceImages"
	}
	return atMost(v, "referenceImages", 3)
}

func klingPrompts(v values) string {
	if v.has("prompt") == v.has("multiPrompt") {
		return "Exactly one of the inputs prompt and multiPrompt is required"
	}
	return ""
}

func klingOmni(v values) string {
	if v.has("referenceVideo") {
		if p := exclude(v.flag("generateAudio"), true, "generateAudio", "referenceVideo"); p != "" {
			return p
		}
		if p := atMost(v, "referenceImages", 4); p != "" {
			return p
		}
	}
	if p := atMost(v, "referenceImages", 7); p != "" || !v.has("multiPrompt") {
		return p
	}
	var shots []struct {
		Prompt   string      `json:"prompt"`
		Duration json.Number `json:"duration"`
	}
	if json.Unmarshal([]byte(v.text("multiPrompt")), &shots) != nil || len(shots) == 0 || len(shots) > 6 {
		return "Input multiPrompt must be a JSON string of 1 to 6 shots, each with prompt and duration"
	}
	sum := 0.0
	for _, shot := range shots {
		d, err := shot.Duration.Float64()
		if err != nil || d <= 0 || shot.Prompt == "" {
			return "Input multiPrompt must be a JSON string of 1 to 6 shots, each with prompt and duration"
		}
		sum += d
	}
	if total, _ := v.number("duration"); sum != total {
		return fmt.Sprintf("Input multiPrompt durations add up to %s, and duration is %s", plain(sum), plain(total))
	}
	return ""
}

func exclude(a, b bool, first, second string) string {
	if a && b {
		return fmt.Sprintf("Input %s cannot be combined with %s", first, second)
	}
	return ""
}

func atMost(v values, name string, n int) string {
	if v.count(name) > n {
		return fmt.Sprintf("Input %s must have at most %d items", name, n)
	}
	return ""
}
