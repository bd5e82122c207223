package wasi

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// No path leads out of the folder, and nothing but files and folders is opened.
func TestPathsStayInside(t *testing.T) {
	folder := tempFolder(t, true)
	for link, target := range map[string]string{
		"up": "../secret", "rooted": filepath.Join(folder.Path, "..", "secret"), "outdir": "..", "in": "sub/b", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(folder.Path, link)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		path string
		want errno
		why  string
	}{
		{"a", 0, "a file"},
		{"./sub/../a", 0, "up and down inside"},
		{"in", 0, "a link that stays inside"},
		{"../secret", eNotCapable, "above"},
		{"sub/../../secret", eNotCapable, "above, by a detour"},
		{"..", eNotCapable, "above"},
		{"/a", eNotCapable, "absolute"},
		{filepath.Join(folder.Path, "a"), eNotCapable, "absolute, as the host has it"},
		{"up", eNotCapable, "a link out"},
		{"rooted", eNotCapable, "an absolute link"},
		{"outdir/secret", eNotCapable, "a link out on the way"},
		{"loop", eLoop, "a link to itself"},
		{"", eNoEntry, "no path"},
		{"a\x00b", eInvalid, "C would see another name"},
		{"\xff", eSequence, "no UTF-8"},
		{"a/b", eNotDir, "below a file"},
		{"none", eNoEntry, "not there"},
		{strings.Repeat("x", maxPath+1), eLongName, "too long"},
		{strings.Repeat("x", 300), eLongName, "too long for a name on the host"},
	}
	g := newGuest(t, Config{Folders: []Folder{folder}})
	for _, tt := range tests {
		g.top = page
		fd, e := g.open(tt.path, 0, toRead, 0)
		if e != tt.want {
			t.Errorf("open %.80q: got %v, want %v: %s", tt.path, e, tt.want, tt.why)
		}
		if e == 0 && strings.Contains(g.read(fd), classified) {
			t.Errorf("open %.80q: read the secret", tt.path)
		}
	}
	ptr, n := g.put("in")
	if e := g.call("path_open", 3, 0, ptr, n, 0, toRead, 0, 0, at0); e != eLoop {
		t.Errorf("open a link that is not to be followed: got %v, want %v", e, eLoop)
	}
}

// A guest cannot make links that programs of the host would follow out.
func TestSymlink(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}})
	tests := []struct {
		target, link string
		want         errno
	}{
		{"a", "l1", 0}, {"../a", "sub/l2", 0}, {"b", "sub/l3", 0},
		{"../secret", "l4", eNotCapable}, {"../../secret", "sub/l5", eNotCapable}, {"/etc", "l6", eNotCapable},
		{"a", "l1", eExist},
	}
	for _, tt := range tests {
		p1, n1 := g.put(tt.target)
		p2, n2 := g.put(tt.link)
		if e := g.call("path_symlink", p1, n1, 3, p2, n2); e != tt.want {
			t.Errorf("link %q to %q: got %v, want %v", tt.link, tt.target, e, tt.want)
		}
	}
	if got := g.read(g.opened("sub/l2", 0, toRead)); got != "hello" {
		t.Errorf("through sub/l2: got %q, want hello", got)
	}
	ptr, n := g.put("sub/l2")
	g.must("path_readlink", 3, ptr, n, buf, 3, at0)
	if got := string(g.memory[buf : buf+g.u32(at0)]); got != "../" {
		t.Errorf("readlink into 3 bytes: got %q, want %q", got, "../")
	}
	g.must("path_filestat_get", 3, 0, ptr, n, at0)
	if got := g.memory[at0+16]; got != kindLink {
		t.Errorf("stat of a link that is not followed: got kind %d, want %d", got, kindLink)
	}
}

// A folder that was opened is a world of its own, and what is removed must be what
// it is said to be.
func TestFolders(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}})
	sub := g.opened("sub", isFolder, toRead)
	at := func(fd uint64, name string) []uint64 { ptr, n := g.put(name); return []uint64{fd, ptr, n} }
	tests := []struct {
		call string
		args []uint64
		want errno
	}{
		{"path_create_directory", at(sub, "deep"), 0},
		{"path_create_directory", at(sub, "deep"), eExist},
		{"path_create_directory", at(sub, "../x"), eNotCapable},
		{"path_remove_directory", at(3, "a"), eNotDir},
		{"path_unlink_file", at(3, "sub"), eIsDir},
		{"path_remove_directory", at(3, "sub"), eNotEmpty},
		{"path_remove_directory", at(3, "sub/deep"), 0},
		{"path_unlink_file", at(sub, "b"), 0},
		{"path_remove_directory", at(3, "sub"), 0},
		{"path_rename", append(at(3, "a"), at(sub, "a")...), eNoEntry},
		{"path_rename", append(at(3, "a"), at(3, "c")...), 0},
		{"path_unlink_file", at(3, "c"), 0},
		{"fd_seek", []uint64{3, 0, 0, at0}, eIsDir},
		{"fd_seek", []uint64{1, 0, 0, at0}, eSeek},
		{"fd_readdir", []uint64{1, buf, 10, 0, at0}, eNotDir},
	}
	for _, tt := range tests {
		if e := g.call(tt.call, tt.args...); e != tt.want {
			t.Errorf("%s: got %v, want %v", tt.call, e, tt.want)
		}
	}
}

// list reads a folder through a buffer of size bytes, as C libraries do.
func (g *guest) list(fd, size uint64) []string {
	g.t.Helper()
	var names []string
	for cookie := uint64(0); ; {
		g.must("fd_readdir", fd, buf, size, cookie, at0)
		b := g.memory[buf : buf+g.u32(at0)]
		for len(b) >= headSize {
			n := int(binary.LittleEndian.Uint32(b[16:]))
			if len(b) < headSize+n {
				break
			}
			names = append(names, fmt.Sprintf("%s:%d", b[headSize:headSize+n], b[20]))
			cookie = binary.LittleEndian.Uint64(b)
			b = b[headSize+n:]
		}
		if uint64(g.u32(at0)) < size {
			return names
		}
	}
}

func TestReaddir(t *testing.T) {
	folder := tempFolder(t, true)
	g := newGuest(t, Config{Folders: []Folder{folder}})
	want := []string{".:3", "..:3", "b:4"}
	for i := range 300 {
		name := fmt.Sprintf("f%03d", i)
		if err := os.WriteFile(filepath.Join(folder.Path, "sub", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		want = append(want, name+":4")
	}
	sub := g.opened("sub", isFolder, toRead)
	for _, size := range []uint64{50, 4096, bufSize} {
		if got := g.list(sub, size); !slices.Equal(got, want) {
			t.Errorf("with a buffer of %d bytes: got %d names, %.100v", size, len(got), got)
		}
	}
	if got := g.list(3, 4096); !slices.Equal(got, []string{".:3", "..:3", "a:4", "sub:3"}) {
		t.Errorf("got %v, want a and sub, and the two that each folder has", got)
	}
	numbers := func(fd uint64) (dot, up uint64) { // 25 bytes of ".", then the head of ".."
		g.must("fd_readdir", fd, buf, 4096, 0, at0)
		return g.u64(buf + 8), g.u64(buf + 25 + 8)
	}
	of := func(fd uint64) uint64 { g.must("fd_filestat_get", fd, at0); return g.u64(at0 + 8) }
	if dot, up := numbers(3); runtime.GOOS != "windows" && (dot != of(3) || up != of(3)) {
		t.Errorf("the given folder has number %d, and lists %d and %d; want it to be its own parent", of(3), dot, up)
	}
	if dot, up := numbers(sub); runtime.GOOS != "windows" && (dot != of(sub) || up != of(3)) {
		t.Errorf("sub has number %d in %d, and lists %d and %d", of(sub), of(3), dot, up)
	}
	g.must("fd_readdir", 3, buf, 4096, 1<<63, at0)
	if got := g.u32(at0); got != 0 {
		t.Errorf("from a cookie past the end: got %d bytes", got)
	}
}

// A folder of very many names is not listed, and what is listed is counted.
func TestReaddirIsBounded(t *testing.T) {
	folder := tempFolder(t, false)
	for i := range maxNames/2 + 1 { // and the two that each folder has
		if err := os.WriteFile(filepath.Join(folder.Path, "sub", fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := newGuest(t, Config{Folders: []Folder{folder}})
	one, two := g.opened("sub", isFolder, toRead), g.opened("sub", isFolder, toRead)
	g.must("fd_readdir", one, buf, 100, 0, at0)
	if e := g.call("fd_readdir", two, buf, 100, 0, at0); e != eOverflow {
		t.Errorf("with another list begun: got %v, want %v", e, eOverflow)
	}
	g.must("fd_readdir", one, buf, 100, 0, at0) // begun again
	g.must("fd_close", one)
	g.must("fd_readdir", two, buf, 100, 0, at0)
}

// A folder that goes away later is an error of the guest's calls.
func TestFolderGone(t *testing.T) {
	folder := tempFolder(t, true)
	g := newGuest(t, Config{Folders: []Folder{folder}})
	if err := os.Rename(folder.Path, folder.Path+".old"); err != nil {
		t.Fatal(err)
	}
	if _, e := g.open("a", 0, toRead, 0); e != eNoEntry {
		t.Errorf("got %v, want %v", e, eNoEntry)
	}
	g.must("fd_close", 3)
}
