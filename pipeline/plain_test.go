package pipeline

import "testing"

func TestPlain(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"text stays", "a dragon, drôle et 龙 👩\u200d🚀", "a dragon, drôle et 龙 👩\u200d🚀"},
		{"lines become one", " first\r\n\tsecond\u2028third ", "first second third"},
		{"escape sequences lose their escape", "\x1b[2J\x1b]0;owned\a red \u009b31m", "[2J ]0;owned red 31m"},
		{"bidirectional tricks are dropped", "file\u202egnp.exe\u2066", "filegnp.exe"},
		{"invisible characters are dropped", "pay\u200bload\ufeff", "payload"},
		{"broken UTF-8 is marked", "a\xff\xfeb", "a\ufffdb"},
		{"private use is marked", "\ue000", "\ufffd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Plain(c.in); got != c.want {
				t.Errorf("Plain(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}
