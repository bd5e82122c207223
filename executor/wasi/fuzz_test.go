package wasi

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
)

// script makes calls of bytes: which function, and for each argument either a
// number, a place in memory, or something out of bounds.
type script []byte

func (s *script) byte() byte {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return b
}

func (s *script) argument() uint64 {
	how, v := s.byte(), uint64(s.byte())
	switch how % 8 {
	case 0, 1, 2:
		return v % 8 // descriptors, flags, small numbers
	case 3, 4:
		return v * 16 // places, lengths
	case 5:
		return v << (how / 8)
	case 6:
		return ^v
	}
	return ^uint64(0) >> (v % 64)
}

// answers are the numbers that the standard has.
const answers = 77

// FuzzFunctions runs functions on a memory and with arguments that a hostile guest
// chose. None may fail but those that end the guest, or read or touch what is
// beside the folder.
func FuzzFunctions(f *testing.F) {
	index := map[string]byte{}
	for i, fn := range functions {
		index[fn.name] = byte(i)
	}
	path := []byte("a\x00sub\x00..\x00../secret\x00up")
	f.Add([]byte{index["path_open"], 0, 3, 0, 1, 0, 0, 0, 1, 0, 0, 5, 66, 0, 0, 0, 0, 3, 9, index["fd_read"], 0, 5, 3, 4, 0, 1, 3, 9}, path)
	f.Add([]byte{index["fd_readdir"], 0, 3, 3, 2, 3, 200, 0, 0, 3, 1}, path)
	f.Add([]byte{index["poll_oneoff"], 3, 0, 3, 0, 0, 1, 3, 100}, path)
	f.Add([]byte{index["path_symlink"], 3, 0, 0, 1, 0, 3, 3, 1, 0, 2}, path)
	f.Add([]byte{index["random_get"], 7, 0, 7, 0, index["proc_exit"], 0, 1}, path)
	f.Fuzz(func(t *testing.T, data, mem []byte) {
		folder := tempFolder(t, len(data)%4 != 0)
		if err := os.Symlink("../secret", filepath.Join(folder.Path, "up")); err != nil {
			t.Fatal(err)
		}
		g := newGuest(t, Config{Args: []string{"x"}, Env: map[string]string{"A": "b"}, Folders: []Folder{folder}, Log: func(string) {}})
		g.memory = make(memory, 8<<10)
		copy(g.memory, mem)
		for s := script(data); len(s) > 0; {
			fn := &functions[int(s.byte())%len(functions)]
			args := make([]uint64, len(fn.params))
			for i := range args {
				args[i] = s.argument()
			}
			e, err := g.try(fn.name, args...)
			if (err != nil) != (fn.name == "proc_exit") || e >= answers && err == nil {
				t.Fatalf("%s%v: got %d, %v", fn.name, args, e, err)
			}
		}
		unharmed(t, filepath.Dir(folder.Path))
		if bytes.Contains(g.memory, []byte(classified)) && !bytes.Contains(mem, []byte(classified)) {
			t.Error("the guest has the secret")
		}
	})
}

// unharmed checks that beside the folder that was given is the secret and nothing else.
func unharmed(t *testing.T, dir string) {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(dir, "secret"))
	if err != nil || string(secret) != classified {
		t.Errorf("the secret: got %q, %v", secret, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the folder: got %v, %v", entries, err)
	}
}

// FuzzPathOpen opens, makes and links paths that a hostile guest chose.
func FuzzPathOpen(f *testing.F) {
	for _, path := range []string{"a", "../secret", "sub/../../secret", "up", "sub/up/secret", "/", ".", "sub/", "a/../../secret", "..\\secret", "\x00", "new"} {
		f.Add(path, "../"+path, uint8(0), uint8(3))
		f.Add(path, path, uint8(create|truncate), uint8(255))
	}
	f.Fuzz(func(t *testing.T, path, target string, how, rights uint8) {
		folder := tempFolder(t, true)
		for link, to := range map[string]string{"up": "../secret", "sub/up": "../.."} {
			if err := os.Symlink(to, filepath.Join(folder.Path, link)); err != nil {
				t.Fatal(err)
			}
		}
		g := newGuest(t, Config{Folders: []Folder{folder}})
		if len(path)+len(target) > buf-page {
			return
		}
		p, n := g.put(path)
		to, m := g.put(target)
		g.call("path_symlink", to, m, 3, p, n)
		if e := g.call("path_open", 3, uint64(how>>4), p, n, uint64(how), uint64(rights), 0, 0, at0); e == 0 {
			fd := uint64(g.u32(at0))
			list, n := g.vector(g.put("overwritten"))
			g.call("fd_write", fd, list, n, at0)
			g.call("fd_filestat_set_size", fd, 1)
			inside(t, g, fd)
		}
		g.call("path_unlink_file", 3, p, n)
		g.call("path_remove_directory", 3, p, n)
		unharmed(t, filepath.Dir(folder.Path))
	})
}

// inside checks that what fd stands for is not beside the folder.
func inside(t *testing.T, g *guest, fd uint64) {
	t.Helper()
	if e := g.call("fd_readdir", fd, buf, bufSize, 0, at0); e == 0 && bytes.Contains(g.memory[buf:buf+g.u32(at0)], []byte("secret")) {
		t.Error("the folder above is listed")
	}
	list, n := g.vector(buf, bufSize)
	if e := g.call("fd_pread", fd, list, n, 0, at0); e == 0 && bytes.Equal(g.memory[buf:buf+g.u32(at0)], []byte(classified)) {
		t.Error("the secret is read")
	}
}

// Two instances of one module share nothing but the folder: run with -race.
func TestInstancesAtOnce(t *testing.T) {
	m, err := Functions(Config{Folders: []Folder{tempFolder(t, true)}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	guests := []*guest{start(t, m), start(t, m)}
	for i, g := range guests {
		g.ctx = context.Background()
		go func() {
			defer func() { done <- struct{}{} }()
			for range 50 {
				g.top = page
				fd, e := g.open(string(rune('x'+i)), create|truncate, toWrite, 0)
				if e != 0 {
					t.Error(e)
					return
				}
				g.write(fd, "text")
				g.list(3, 4096)
				g.call("random_get", buf, 100)
				g.call("fd_close", fd)
			}
		}()
	}
	for range guests {
		<-done
	}
}
