package cachedir

import "testing"

// Whatever is called as a mark is one of what it says, and nothing else is taken for one.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", ".own", "a.own", "a.0123456789abcdef0123456789abcdef.own", ".0123456789abcdef0123456789abcdef.own", "a.b.own.0123456789abcdef0123456789abcdef.own"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		name, owner, ok := parse(file)
		if ok && (mark(owner, name) != file || name == "" || len(owner) != 2*ownerSize) {
			t.Errorf("%q is said to be the mark of %q by %q", file, name, owner)
		}
		if name, owner, ok := parse(mark(hash(file), "x"+file)); !ok || name != "x"+file || owner != hash(file) {
			t.Errorf("the mark of %q by itself is said to be of %q by %q, %t", file, name, owner, ok)
		}
	})
}
