package wasi

import (
	"runtime"
	"testing"
	"time"
)

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

// A folder has times, too, and they are set by its descriptor: to do so is among its rights.
func TestTimesOfFolder(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true), {Name: "fixed", Path: t.TempDir()}}, Clock: true})
	const second, right = uint64(time.Second), uint64(1 << 23)
	sub := g.opened("sub", isFolder, toRead)
	for _, fd := range []uint64{3, sub} {
		g.must("fd_filestat_set_times", fd, 5*second, 7*second, 1|4)
		g.must("fd_filestat_get", fd, at0)
		if got := g.u64(at0 + 48); got != 7*second {
			t.Errorf("descriptor %d: got %d, want 7s", fd, got)
		}
		g.must("fd_fdstat_get", fd, at0)
		if got := g.u64(at0 + 8); got&right == 0 {
			t.Errorf("descriptor %d: fd_filestat_set_times is not among its rights %#x", fd, got)
		}
	}
	if e := g.call("fd_filestat_set_times", 4, 0, 0, 8); e != eReadOnly {
		t.Errorf("of a folder without Write: got %v, want %v", e, eReadOnly)
	}
	g.must("fd_fdstat_get", 4, at0)
	if got := g.u64(at0 + 8); got&right != 0 {
		t.Errorf("a folder without Write has the right: %#x", got)
	}
}

// A link that is not followed has times of its own, and what is behind it keeps its own.
func TestTimesOfLink(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the host sets no times of links here; on Linux run go test -run TestTimesOfLink ./executor/wasi")
	}
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}, Clock: true})
	const second = uint64(time.Second)
	target, tn := g.put("sub/b")
	link, ln := g.put("l")
	g.must("path_symlink", target, tn, 3, link, ln)
	times := func(path, n uint64) (accessed, modified uint64) {
		g.must("path_filestat_get", 3, 0, path, n, at0)
		return g.u64(at0 + 40), g.u64(at0 + 48)
	}
	_, before := times(target, tn)
	g.must("path_filestat_set_times", 3, 0, link, ln, 5*second, 7*second, 1|4)
	g.must("path_filestat_set_times", 3, 0, link, ln, 0, 9*second, 4)
	if a, m := times(link, ln); a != 5*second || m != 9*second {
		t.Errorf("the link: got %d and %d, want 5s and 9s", a, m)
	}
	if _, m := times(target, tn); m != before {
		t.Errorf("what is behind it: got %d, want %d still", m, before)
	}
	g.must("path_filestat_set_times", 3, follow, link, ln, 0, 3*second, 4)
	if _, m := times(target, tn); m != 3*second {
		t.Errorf("followed: got %d, want 3s", m)
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
