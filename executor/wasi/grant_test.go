package wasi

import (
	"strings"
	"testing"
)

// Each function that needs a grant, without it and with it (paper 003, 7.2). set
// prepares what the function needs; it is run in a folder that may be written to.
func TestWithAndWithoutGrant(t *testing.T) {
	const none, read, write = 0, 1, 2
	path := func(s string) func(g *guest) []uint64 {
		return func(g *guest) []uint64 { ptr, n := g.put(s); return []uint64{3, ptr, n} }
	}
	// on opens file a as the grant allows, and calls with its descriptor.
	on := func(rest ...uint64) func(g *guest) []uint64 {
		return func(g *guest) []uint64 {
			fd, e := g.open("a", 0, toWrite, 0)
			if e == eReadOnly {
				fd, e = g.open("a", 0, toRead, 0)
			}
			if e != 0 {
				fd = 3
			}
			return append([]uint64{fd}, rest...)
		}
	}
	two := func(a, b string) func(g *guest) []uint64 {
		return func(g *guest) []uint64 {
			p1, n1 := g.put(a)
			p2, n2 := g.put(b)
			return []uint64{3, p1, n1, 3, p2, n2}
		}
	}
	open := func(how uint32, rights uint64) func(g *guest) []uint64 {
		return func(g *guest) []uint64 {
			ptr, n := g.put("new")
			return []uint64{3, 0, ptr, n, uint64(how), rights, 0, 0, at0}
		}
	}
	vec := func(more ...uint64) func(g *guest) []uint64 {
		return func(g *guest) []uint64 {
			list, n := g.vector(buf, 3)
			return append(on()(g), append([]uint64{list, n}, more...)...)
		}
	}
	tests := []struct {
		name string
		args func(g *guest) []uint64
		want [3]errno // without a grant, with one to read, with one to write
	}{
		{"fd_prestat_get", func(*guest) []uint64 { return []uint64{3, at0} }, [3]errno{eBadFD, 0, 0}},
		{"fd_prestat_dir_name", func(*guest) []uint64 { return []uint64{3, buf, 9} }, [3]errno{eBadFD, 0, 0}},
		{"fd_fdstat_get", on(at0), [3]errno{eBadFD, 0, 0}},
		{"fd_fdstat_set_flags", on(uint64(flagNonBlock)), [3]errno{eBadFD, 0, 0}},
		{"fd_filestat_get", on(at0), [3]errno{eBadFD, 0, 0}},
		{"fd_filestat_set_size", on(2), [3]errno{eBadFD, eInvalid, 0}},
		{"fd_filestat_set_times", on(1, 2, 5), [3]errno{eBadFD, eReadOnly, 0}},
		{"fd_advise", on(0, 1, 2), [3]errno{eBadFD, 0, 0}},
		{"fd_allocate", on(0, 1), [3]errno{eBadFD, eNotSup, eNotSup}},
		{"fd_fdstat_set_rights", on(0, 0), [3]errno{eBadFD, eNotSup, eNotSup}},
		{"fd_close", on(), [3]errno{eBadFD, 0, 0}},
		{"fd_datasync", on(), [3]errno{eBadFD, 0, 0}},
		{"fd_sync", on(), [3]errno{eBadFD, 0, 0}},
		{"fd_seek", on(2, 0, at0), [3]errno{eBadFD, 0, 0}},
		{"fd_tell", on(at0), [3]errno{eBadFD, 0, 0}},
		{"fd_renumber", on(1), [3]errno{eBadFD, 0, 0}},
		{"fd_read", vec(at0), [3]errno{eBadFD, 0, 0}},
		{"fd_pread", vec(1, at0), [3]errno{eBadFD, 0, 0}},
		{"fd_write", vec(at0), [3]errno{eBadFD, eBadFD, 0}},
		{"fd_pwrite", vec(1, at0), [3]errno{eBadFD, eBadFD, 0}},
		{"fd_readdir", func(*guest) []uint64 { return []uint64{3, buf, bufSize, 0, at0} }, [3]errno{eBadFD, 0, 0}},
		{"path_open", func(g *guest) []uint64 {
			ptr, n := g.put("a")
			return []uint64{3, 0, ptr, n, 0, toRead, 0, 0, at0}
		}, [3]errno{eBadFD, 0, 0}},
		{"path_open", open(create, toRead), [3]errno{eBadFD, eReadOnly, 0}},
		{"path_open", open(0, toWrite), [3]errno{eBadFD, eNoEntry, eNoEntry}},
		{"path_create_directory", path("new"), [3]errno{eBadFD, eReadOnly, 0}},
		{"path_remove_directory", path("sub/empty"), [3]errno{eBadFD, eReadOnly, eNoEntry}},
		{"path_unlink_file", path("a"), [3]errno{eBadFD, eReadOnly, 0}},
		{"path_rename", two("a", "b"), [3]errno{eBadFD, eReadOnly, 0}},
		{"path_link", func(g *guest) []uint64 {
			a := two("a", "c")(g)
			return append([]uint64{a[0], 0}, a[1:]...)
		}, [3]errno{eBadFD, eReadOnly, 0}},
		{"path_symlink", func(g *guest) []uint64 {
			a := two("a", "c")(g)
			return a[1:]
		}, [3]errno{eBadFD, eReadOnly, 0}},
		{"path_filestat_get", func(g *guest) []uint64 {
			ptr, n := g.put("a")
			return []uint64{3, 0, ptr, n, at0}
		}, [3]errno{eBadFD, 0, 0}},
		{"path_filestat_set_times", func(g *guest) []uint64 {
			ptr, n := g.put("a")
			return []uint64{3, 0, ptr, n, 1, 2, 5}
		}, [3]errno{eBadFD, eReadOnly, 0}},
		{"path_readlink", func(g *guest) []uint64 {
			ptr, n := g.put("a")
			return []uint64{3, ptr, n, buf, 9, at0}
		}, [3]errno{eBadFD, eInvalid, eInvalid}}, // a is no link
		{"proc_raise", func(*guest) []uint64 { return []uint64{6} }, [3]errno{eNoSys, eNoSys, eNoSys}},
		{"sock_accept", on(0, at0), [3]errno{eBadFD, eNotSocket, eNotSocket}},
		{"sock_recv", on(0, 0, 0, at0, at0), [3]errno{eBadFD, eNotSocket, eNotSocket}},
		{"sock_send", on(0, 0, 0, at0), [3]errno{eBadFD, eNotSocket, eNotSocket}},
		{"sock_shutdown", on(0), [3]errno{eBadFD, eNotSocket, eNotSocket}},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		seen[tt.name] = true
		for grant := none; grant <= write; grant++ {
			cfg := Config{}
			if grant != none {
				cfg.Folders = []Folder{tempFolder(t, grant == write)}
			}
			g := newGuest(t, cfg)
			if e := g.call(tt.name, tt.args(g)...); e != tt.want[grant] {
				t.Errorf("%s with grant %d: got %v, want %v", tt.name, grant, e, tt.want[grant])
			}
		}
	}
	for _, f := range functions {
		if file := strings.HasPrefix(f.name, "fd_") || strings.HasPrefix(f.name, "path_") || strings.HasPrefix(f.name, "sock_"); file && !seen[f.name] {
			t.Errorf("%s has no row", f.name)
		}
	}
}
