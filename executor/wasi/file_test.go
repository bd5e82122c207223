package wasi

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
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

// Files below a folder with Write have each right of a file: programs expect them, fd_allocate's too.
func TestInherited(t *testing.T) {
	const files = 1<<9 - 1 | rightStat | rightsChange | rightPoll
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}})
	g.must("fd_fdstat_get", 3, at0)
	if got := g.u64(at0 + 16); got&files != files {
		t.Errorf("got %#x, want %#x among them", got, files)
	}
	g.must("fd_fdstat_get", g.opened("a", 0, toWrite), at0)
	if got := g.u64(at0 + 8); got&files != files {
		t.Errorf("of a file: got %#x, want %#x among them", got, files)
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

// Space is set aside for no file, and could be for nothing else.
func TestAllocate(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}})
	for _, tt := range []struct {
		why  string
		fd   uint64
		want errno
	}{
		{"a file", g.opened("a", 0, toWrite), eNotSup}, {"a folder is none", 3, eIsDir}, {"nor is a stream", 1, eSeek}, {"nothing", 99, eBadFD},
	} {
		if e := g.call("fd_allocate", tt.fd, 0, 1); e != tt.want {
			t.Errorf("%s: got %v, want %v", tt.why, e, tt.want)
		}
	}
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
