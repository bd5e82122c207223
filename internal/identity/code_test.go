package identity

import (
	"strings"
	"testing"
)

func TestCodes(t *testing.T) {
	c := Code{Secret: [16]byte{1, 2, 255}, Authority: Fingerprint{15: 7}}
	text := c.String()
	for _, s := range []string{text, strings.ToLower(text)} {
		if got, err := ParseCode(s); err != nil || got != c {
			t.Errorf("%s: got %v, %v", s, got, err)
		}
	}
	last := text[:len(text)-1]
	for name, s := range map[string]string{
		"nothing": "", "cut": last, "longer": text + "A", "a zero": "0" + text[1:], "spaces": " " + text[1:],
		"another end for the same bytes": last + "P", "a line's end": last + "\n", "other letters": strings.Repeat("\u00c4", 26),
	} {
		if got, err := ParseCode(s); err == nil {
			t.Errorf("%s was taken as %v", name, got)
		}
	}
}

// What is taken is what its code prints.
func FuzzParseCode(f *testing.F) {
	f.Add(Code{}.String())
	f.Add(strings.Repeat("a", 52))
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseCode(s); err == nil && !strings.EqualFold(c.String(), s) {
			t.Errorf("%q is taken as %s", s, c)
		}
	})
}
