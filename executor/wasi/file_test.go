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
	"time"
)

func TestReadAndWrite(t *testing.T) {
	folder := tempFolder(t, true)
	g := newGuest(t, Config{Folders: []Folder{folder}})
	fd := g.opened("sub/new", create, toWrite)
	if fd != 4 {
		t.Errorf("got descriptor %d, want the lowest free, 4", fd)
	}
	g.write(fd, "hello world")
	g.must("fd_seek", fd, ^uint64(4), 2, at0) // 5 before the end
	if got := g.read(fd); got != "world" {
		t.Errorf("the last 5 bytes: got %q", got)
	}
	list, n := g.vector(g.put("HE"))
	g.must("fd_pwrite", fd, list, n, 0, at0)
	list, n = g.vector(buf, 4)
	g.must("fd_pread", fd, list, n, 1, at0)
	if got := string(g.memory[buf : buf+4]); got != "Ello" {
		t.Errorf("4 bytes at 1: got %q", got)
	}
	g.must("fd_tell", fd, at0)
	if got := g.u64(at0); got != 11 {
		t.Errorf("position after pread and pwrite: got %d, want 11 as before", got)
	}
	g.must("fd_filestat_set_size", fd, 5)
	g.must("fd_filestat_get", fd, at0)
	if kind, size, mtime := g.memory[at0+16], g.u64(at0+32), g.u64(at0+48); kind != kindFile || size != 5 || mtime != 0 {
		t.Errorf("got kind %d, size %d, modified %d; want 4, 5 and no time without the clock", kind, size, mtime)
	}
	got, err := os.ReadFile(filepath.Join(folder.Path, "sub", "new"))
	if err != nil || string(got) != "HEllo" {
		t.Errorf("on the host: got %q, %v", got, err)
	}
}

// A file may be larger than any memory.
func TestBigFile(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}})
	const far = uint64(5 << 30)
	fd := g.opened("big", create, toWrite)
	list, n := g.vector(g.put("far"))
	g.must("fd_pwrite", fd, list, n, far, at0)
	g.must("fd_seek", fd, far, 0, at0)
	if got := g.read(fd); got != "far" {
		t.Errorf("at 5 GiB: got %q, want far", got)
	}
	for offset, want := range map[uint64]errno{1<<63 - 1: eTooBig, 1 << 63: eTooBig, 1<<64 - 1: eTooBig} {
		if e := g.call("fd_pwrite", fd, list, n, offset, at0); e != want {
			t.Errorf("write at %#x: got %v, want %v", offset, e, want)
		}
	}
}

// Two instances that append to one file both find their lines in it.
func TestAppend(t *testing.T) {
	m, err := Functions(Config{Folders: []Folder{tempFolder(t, true)}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := start(t, m), start(t, m)
	fdA, _ := a.open("log", create, toWrite, flagAppend)
	fdB, _ := b.open("log", create, toWrite, flagAppend)
	for range 2 {
		a.write(fdA, "a")
		b.write(fdB, "b")
	}
	if got := a.read(a.opened("log", 0, toRead)); got != "abab" {
		t.Errorf("got %q, want %q", got, "abab")
	}
}

// What is written at an offset goes there, in a file that is appended to as well, and files
// begin and cease to be appended to.
func TestAppendAndOffsets(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}})
	fd, _ := g.open("log", create, toWrite, flagAppend)
	content := func(want string) {
		t.Helper()
		if got := g.read(g.opened("log", 0, toRead)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	g.write(fd, "abc")
	list, n := g.vector(g.put("B"))
	g.must("fd_pwrite", fd, list, n, 1, at0)
	content("aBc")
	g.must("fd_seek", fd, 0, 0, at0)
	g.write(fd, "d")
	content("aBcd")
	g.must("fd_fdstat_set_flags", fd, 0)
	g.must("fd_seek", fd, 0, 0, at0)
	g.write(fd, "A")
	content("ABcd")
	g.must("fd_fdstat_set_flags", fd, uint64(flagAppend|flagNonBlock))
	g.write(fd, "e")
	content("ABcde")
	g.must("fd_fdstat_get", fd, at0)
	if got := binary.LittleEndian.Uint16(g.memory[at0+2:]); got != flagAppend {
		t.Errorf("flags: got %d, want %d", got, flagAppend)
	}
	for _, tt := range []struct{ fd, flags uint64 }{{fd, uint64(flagAppend | flagSync)}, {1, uint64(flagAppend)}, {3, uint64(flagAppend)}} {
		if e := g.call("fd_fdstat_set_flags", tt.fd, tt.flags); e != eNotSup {
			t.Errorf("flags %d of descriptor %d: got %v, want %v", tt.flags, tt.fd, e, eNotSup)
		}
	}
	if e := g.call("fd_pwrite", fd, list, n, 1<<63, at0); e != eTooBig {
		t.Errorf("pwrite too far: got %v, want %v", e, eTooBig)
	}
	g.write(fd, "f")
	content("ABcdef")
}

// What a descriptor may do is told, and C libraries look.
func TestFdstat(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, false), {Name: "w", Path: t.TempDir(), Write: true}}})
	file := g.opened("a", 0, toRead)
	tests := []struct {
		fd          uint64
		kind        uint8
		have, lack  uint64
		inheritLack uint64
	}{
		{0, kindCharacter, rightRead, rightWrite | 1<<2 | 1<<5, 0},
		{1, kindCharacter, rightWrite, rightRead | 1<<2 | 1<<5, 0},
		{3, kindFolder, rightsLook, rightsArrange, rightsChange &^ rightsOpen},
		{4, kindFolder, rightsLook | rightsArrange, 0, 0},
		{file, kindFile, rightRead | rightsOpen, rightWrite, 0},
	}
	for _, tt := range tests {
		g.must("fd_fdstat_get", tt.fd, at0)
		kind, rights, inherit := g.memory[at0], g.u64(at0+8), g.u64(at0+16)
		if kind != tt.kind || rights&tt.have != tt.have || rights&tt.lack != 0 || inherit&tt.inheritLack != 0 {
			t.Errorf("descriptor %d: got kind %d, rights %#x, inherited %#x", tt.fd, kind, rights, inherit)
		}
	}
	for fd, want := range []string{3: "/data", 4: "/w"} {
		if want == "" {
			continue
		}
		g.must("fd_prestat_get", uint64(fd), at0)
		if kind, n := g.u32(at0), g.u32(at0+4); kind != 0 || int(n) != len(want) {
			t.Errorf("descriptor %d: got kind %d, %d bytes of name", fd, kind, n)
		}
		g.must("fd_prestat_dir_name", uint64(fd), buf, uint64(len(want)))
		if got := string(g.memory[buf : buf+len(want)]); got != want {
			t.Errorf("descriptor %d: got %q, want %q", fd, got, want)
		}
	}
}

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

func TestOpen(t *testing.T) {
	tests := []struct {
		path   string
		how    uint32
		rights uint64
		want   errno
		why    string
	}{
		{"a", create | exclusive, toWrite, eExist, "O_EXCL"},
		{"a", isFolder, toRead, eNotDir, "O_DIRECTORY on a file"},
		{"a", truncate, toWrite, 0, "emptied"},
		{"sub", 0, toRead, 0, "opendir without O_DIRECTORY"},
		{"sub", 0, toWrite, eIsDir, "to write in"},
		{"sub", create, toRead, eIsDir, "a file of that name"},
		{"sub", isFolder, toWrite, 0, "guests ask for all rights to a folder"},
		{"new/", create, toWrite, eNoEntry, "a folder of that name"},
		{"none", isFolder | create, toRead, eNoEntry, "path_create_directory makes folders"},
	}
	for _, tt := range tests {
		g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}})
		if _, e := g.open(tt.path, tt.how, tt.rights, 0); e != tt.want {
			t.Errorf("open %q, %#x: got %v, want %v: %s", tt.path, tt.how, e, tt.want, tt.why)
		}
	}
}

// A guest's open files are bounded, and are closed with it.
func TestOpenFilesAreBounded(t *testing.T) {
	m, err := Functions(Config{Folders: []Folder{tempFolder(t, true)}})
	if err != nil {
		t.Fatal(err)
	}
	funcs, stop := m.New()
	g := start(t, m)
	for _, f := range funcs {
		g.funcs[f.Name] = f
	}
	before := openFiles(t)
	for range maxOpen {
		g.top = page
		g.opened("a", 0, toRead)
	}
	if _, e := g.open("never", create, toWrite, 0); e != eManyFiles {
		t.Errorf("file %d: got %v, want %v", maxOpen+1, e, eManyFiles)
	}
	g.must("fd_close", 7)
	if fd := g.opened("a", 0, toRead); fd != 7 {
		t.Errorf("got descriptor %d, want the free one, 7", fd)
	}
	ptr, n := g.put("never")
	if e := g.call("path_filestat_get", 3, 0, ptr, n, at0); e != eNoEntry {
		t.Errorf("a file that could not be opened: got %v, want it not made", e)
	}
	stop()
	if after := openFiles(t); after > before {
		t.Errorf("got %d open files of the host after the instance was closed, %d before", after, before)
	}
}

// All guests together leave files to the host, and a file that is closed, or was not
// opened, counts no more.
func TestGuestFilesAreBounded(t *testing.T) {
	most := mostGuestFiles()
	defer func() { mostGuestFiles = func() int64 { return most } }()
	before := guestFiles.Load()
	mostGuestFiles = func() int64 { return before + 3 }
	m, err := Functions(Config{Folders: []Folder{tempFolder(t, true)}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := start(t, m), start(t, m)
	for range 10 {
		if _, e := a.open("none", 0, toRead, 0); e != eNoEntry {
			t.Errorf("a file that is not there: got %v, want %v", e, eNoEntry)
		}
	}
	a.opened("a", 0, toRead)
	a.opened("sub", isFolder, toRead)
	fd := b.opened("a", 0, toRead)
	if _, e := b.open("a", 0, toRead, 0); e != eHostFiles {
		t.Errorf("a fourth file: got %v, want %v", e, eHostFiles)
	}
	b.must("fd_close", fd)
	b.opened("a", 0, toRead)
	_, stop := m.New()
	stop()
	if got := guestFiles.Load() - before; got != 3 {
		t.Errorf("%d files are counted; want 3", got)
	}
	for _, g := range []*guest{a, b} {
		for fd := uint64(3); fd < 6; fd++ {
			g.call("fd_close", fd)
		}
	}
	if got := guestFiles.Load() - before; got != 0 {
		t.Errorf("after all were closed %d files are counted; want 0", got)
	}
}

// openFiles counts the descriptors of this process, where that can be told.
func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Log("no /proc: cannot count open files")
	}
	return len(entries)
}

func TestRenumber(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}})
	fd := g.opened("a", 0, toRead)
	g.must("fd_renumber", fd, 0)
	if got := g.read(0); got != "hello" {
		t.Errorf("standard input after renumber: got %q, want hello", got)
	}
	for _, to := range []uint64{fd, 99, 1<<32 - 1} {
		if e := g.call("fd_renumber", 0, to); e != eBadFD {
			t.Errorf("renumber to %d: got %v, want %v", to, e, eBadFD)
		}
	}
	g.must("fd_renumber", 0, 0)
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

// Times are set, and told to those who are given the clock.
func TestTimes(t *testing.T) {
	folder := tempFolder(t, true)
	g := newGuest(t, Config{Folders: []Folder{folder}, Clock: true})
	const second = uint64(time.Second)
	stamp := func(path string) uint64 {
		ptr, n := g.put(path)
		g.must("path_filestat_get", 3, follow, ptr, n, at0)
		return g.u64(at0 + 48)
	}
	ptr, n := g.put("a")
	g.must("path_filestat_set_times", 3, follow, ptr, n, 5*second, 7*second, 1|4)
	if got := stamp("a"); got != 7*second {
		t.Errorf("set by path: got %d, want 7s", got)
	}
	fd := g.opened("a", 0, toWrite)
	g.must("fd_filestat_set_times", fd, 5*second, 9*second, 1)
	if got := stamp("a"); got != 7*second {
		t.Errorf("the time of access alone was set: got %d, want 7s still", got)
	}
	g.must("fd_filestat_set_times", fd, 0, 0, 8)
	if got := stamp("a"); got < uint64(time.Now().Add(-time.Hour).UnixNano()) {
		t.Errorf("set to now: got %d", got)
	}
	for _, flags := range []uint64{3, 12} {
		if e := g.call("fd_filestat_set_times", fd, 0, 0, flags); e != eInvalid {
			t.Errorf("flags %d: got %v, want %v", flags, e, eInvalid)
		}
	}
	p2, n2 := g.put("other")
	g.must("path_rename", 3, ptr, n, 3, p2, n2)
	if e := g.call("fd_filestat_set_times", fd, 0, 0, 8); e != eNotSup {
		t.Errorf("of a file that was renamed: got %v, want %v", e, eNotSup)
	}
}

// The times of access, of modification and of change are three, as POSIX has them: who sets
// the first two changes the third to now.
func TestThreeTimes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the host tells one time here; on Linux run go test -run TestThreeTimes ./executor/wasi")
	}
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}, Clock: true})
	const second = uint64(time.Second)
	before := uint64(time.Now().Add(-time.Minute).UnixNano())
	ptr, n := g.put("a")
	g.must("path_filestat_set_times", 3, follow, ptr, n, 5*second, 7*second, 1|4)
	check := func(what string, atime, mtime uint64) {
		t.Helper()
		if a, m, c := g.u64(at0+40), g.u64(at0+48), g.u64(at0+56); a != atime || m != mtime || c < before {
			t.Errorf("%s: got %d, %d, %d; want %d, %d and now", what, a, m, c, atime, mtime)
		}
	}
	g.must("path_filestat_get", 3, follow, ptr, n, at0)
	check("by path", 5*second, 7*second)
	fd := g.opened("a", 0, toWrite)
	g.must("fd_filestat_set_times", fd, 9*second, 0, 1)
	g.must("fd_filestat_get", fd, at0)
	check("by descriptor", 9*second, 7*second)
	made := newGuest(t, Config{Folders: []Folder{tempFolder(t, false)}})
	ptr, n = made.put("a")
	made.must("path_filestat_get", 3, follow, ptr, n, at0)
	if a, m, c := made.u64(at0+40), made.u64(at0+48), made.u64(at0+56); a|m|c != 0 {
		t.Errorf("without the clock: got %d, %d, %d; want no times", a, m, c)
	}
}

// What is not a file has a size of 0: a folder's own is the file system's affair.
func TestStatOfOthers(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, false)}})
	for fd, kind := range []uint8{kindCharacter, kindCharacter, kindCharacter, kindFolder} {
		g.must("fd_filestat_get", uint64(fd), at0)
		if got, size := g.memory[at0+16], g.u64(at0+32); got != kind || size != 0 {
			t.Errorf("descriptor %d: got kind %d, size %d; want kind %d", fd, got, size, kind)
		}
	}
}

// A pointer that is not in memory is answered, whatever else is right.
func TestPointers(t *testing.T) {
	g := newGuest(t, Config{Args: []string{"x"}, Folders: []Folder{tempFolder(t, true)}})
	fd := g.opened("a", 0, toWrite)
	ptr, n := g.put("made")
	list, one := g.vector(buf, 1)
	const bad = 1<<32 - 1
	tests := []struct {
		name string
		args []uint64
	}{
		{"args_get", []uint64{bad, buf}}, {"args_get", []uint64{at0, bad}}, {"args_sizes_get", []uint64{bad, at0}}, {"args_sizes_get", []uint64{at0, bad}},
		{"clock_res_get", []uint64{0, bad}}, {"clock_time_get", []uint64{0, 0, bad}}, {"random_get", []uint64{bad, 2}}, {"random_get", []uint64{0, bad}},
		{"fd_fdstat_get", []uint64{fd, bad}}, {"fd_filestat_get", []uint64{fd, bad}}, {"fd_prestat_get", []uint64{3, bad}}, {"fd_prestat_dir_name", []uint64{3, bad, 5}},
		{"fd_read", []uint64{fd, list, one, bad}}, {"fd_write", []uint64{fd, bad, one, at0}}, {"fd_readdir", []uint64{3, bad, 100, 0, at0}}, {"fd_readdir", []uint64{3, buf, 100, 0, bad}},
		{"fd_seek", []uint64{fd, 0, 0, bad}}, {"fd_tell", []uint64{fd, bad}},
		{"path_open", []uint64{3, 0, ptr, n, uint64(create), toWrite, 0, 0, bad}}, {"path_open", []uint64{3, 0, bad, n, uint64(create), toWrite, 0, 0, at0}},
		{"path_filestat_get", []uint64{3, 0, bad, n, at0}}, {"path_readlink", []uint64{3, ptr, n, bad, 9, at0}},
	}
	for _, tt := range tests {
		if e := g.call(tt.name, tt.args...); e != eFault {
			t.Errorf("%s%v: got %v, want %v", tt.name, tt.args, e, eFault)
		}
	}
	if e := g.call("path_filestat_get", 3, 0, ptr, n, at0); e != eNoEntry {
		t.Errorf("a file that could not be told of: got %v, want it not made", e)
	}
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
