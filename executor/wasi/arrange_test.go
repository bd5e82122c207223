//go:build unix

package wasi

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// two hands over the arguments of path_rename.
func (g *guest) two(fd1 uint64, from string, fd2 uint64, to string) []uint64 {
	p1, n1 := g.put(from)
	p2, n2 := g.put(to)
	return []uint64{fd1, p1, n1, fd2, p2, n2}
}

func (g *guest) rename(from, to string) errno {
	g.t.Helper()
	return g.call("path_rename", g.two(3, from, 3, to)...)
}

func (g *guest) hardLink(from, to string) errno {
	g.t.Helper()
	a := g.two(3, from, 3, to)
	return g.call("path_link", append([]uint64{a[0], 0}, a[1:]...)...)
}

func (g *guest) symlink(target, link string) errno {
	g.t.Helper()
	p1, n1 := g.put(target)
	p2, n2 := g.put(link)
	return g.call("path_symlink", p1, n1, 3, p2, n2)
}

// leadOut returns the links in dir that lead out of it for whoever follows them on the host.
func leadOut(t *testing.T, dir string) (out []string) {
	t.Helper()
	top, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		to, err := filepath.EvalSymlinks(path)
		if err == nil && to != top && !strings.HasPrefix(to, top+"/") {
			out = append(out, path+" to "+to)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLinksStayInside has a guest try to bring a link to where it leads out of its folder,
// for programs of the host that follow it. secret is beside the folder.
func TestLinksStayInside(t *testing.T) {
	const exdev = eCross
	type try struct {
		call, from, to string
		want           errno
	}
	tests := []struct {
		why  string
		does []try
	}{
		{"a link that is renamed to a higher place", []try{{"symlink", "../../secret", "d/e/x", 0}, {"rename", "d/e/x", "x", eNotCapable}}},
		{"or to one that is one level higher", []try{{"symlink", "../../secret", "d/e/x", 0}, {"rename", "d/e/x", "d/x", eNotCapable}}},
		{"one that gets a second name there", []try{{"symlink", "../../secret", "d/e/x", 0}, {"link", "d/e/x", "x", eNotCapable}}},
		{"one whose folder is renamed", []try{{"symlink", "../../secret", "d/e/x", 0}, {"rename", "d/e", "e", exdev}}},
		{"one deep in a folder that is renamed", []try{{"symlink", "../../../secret", "d/e/f/x", 0}, {"rename", "d/e", "e", exdev}}},
		{"one that is made behind another link", []try{{"symlink", "../../top", "d/e/s", 0}, {"symlink", "../../secret", "d/e/s/x", eNotCapable}}},
		{"one that is renamed behind another link", []try{
			{"symlink", "../../top", "d/e/s", 0}, {"symlink", "../../secret", "d/e/x", 0}, {"rename", "d/e/x", "d/e/s/x", eNotCapable}}},
		{"one that goes up behind another link", []try{{"symlink", "../top", "d/s", 0}, {"symlink", "s/../../secret", "d/x", eNotCapable}}},
		{"one with a slash behind it", []try{{"symlink", "../../secret", "d/e/x", 0}, {"rename", "d/e/x/", "x", eNotDir}, {"link", "d/e/x/", "x", eNotDir}}},
		{"one that goes up too far at once", []try{{"symlink", "../../../secret", "d/e/x", eNotCapable}, {"symlink", "..", "x", eNotCapable}, {"symlink", "../", "x", eNotCapable}}},
		{"an absolute one", []try{{"symlink", "/etc/passwd", "x", eNotCapable}}},
		{"what programs do", []try{
			{"symlink", "../a", "d/x", 0}, {"rename", "d/x", "d/y", 0}, {"rename", "d/y", "top/y", 0}, {"rename", "top/y", "d/e/y", 0},
			{"link", "d/e/y", "d/e/f/y", 0}, {"rename", "d/e", "top/e", 0}, {"symlink", "f", "top/e/g", 0},
			{"rename", "top/e/g", "g", 0}, {"symlink", "..", "d/up", 0}, {"symlink", ".//a", "l", 0}, {"rename", "d", "top/d", 0},
		}},
	}
	for _, tt := range tests {
		folder := tempFolder(t, true)
		for _, dir := range []string{"d/e/f", "top"} {
			if err := os.MkdirAll(filepath.Join(folder.Path, dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		g := newGuest(t, Config{Folders: []Folder{folder}})
		do := map[string]func(a, b string) errno{"symlink": g.symlink, "rename": g.rename, "link": g.hardLink}
		for _, d := range tt.does {
			g.top = page
			if e := do[d.call](d.from, d.to); e != d.want {
				t.Errorf("%s: %s %q %q: got %v, want %v", tt.why, d.call, d.from, d.to, e, d.want)
			}
		}
		if out := leadOut(t, folder.Path); out != nil {
			t.Errorf("%s: %v", tt.why, out)
		}
		unharmed(t, filepath.Dir(folder.Path))
	}
}

// TestHostsLinks has links that the host made, which a guest may rename where they stay inside.
func TestHostsLinks(t *testing.T) {
	folder := tempFolder(t, true)
	for link, target := range map[string]string{"sub/up": "../a", "sub/out": "../../secret", "etc": "/etc"} {
		if err := os.Symlink(target, filepath.Join(folder.Path, link)); err != nil {
			t.Fatal(err)
		}
	}
	g := newGuest(t, Config{Folders: []Folder{folder}})
	for _, tt := range []struct {
		from, to string
		want     errno
	}{
		{"sub/up", "sub/up2", 0}, {"sub/up2", "up", eNotCapable}, {"sub/out", "sub/log", eNotCapable},
		{"etc", "log", eNotCapable}, {"sub/b", "b", 0},
	} {
		if e := g.rename(tt.from, tt.to); e != tt.want {
			t.Errorf("rename %q to %q: got %v, want %v", tt.from, tt.to, e, tt.want)
		}
	}
}

// A link that is to be followed gets no second name, whether there is something behind it or not: that would be a
// name of a file that the guest did not name.
func TestLinkFollowsNothing(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true)}})
	if e := g.symlink("a", "there"); e != 0 {
		t.Fatal(e)
	}
	for _, from := range []string{"a", "there", "nowhere"} {
		a := g.two(3, from, 3, "second")
		if e := g.call("path_link", append([]uint64{a[0], follow}, a[1:]...)...); e != eInvalid {
			t.Errorf("%s: got %v, want %v", from, e, eInvalid)
		}
	}
	if e := g.hardLink("there", "second"); e != 0 {
		t.Errorf("the link itself: got %v", e)
	}
}

// TestRenameAsPOSIX goes through what is renamed, and what is there already.
func TestRenameAsPOSIX(t *testing.T) {
	tests := []struct {
		from, to string
		want     errno
		why      string
	}{
		{"sub", "empty", 0, "a folder over an empty folder"},
		{"empty", "sub", eNotEmpty, "a folder over one with files"},
		{"a", "sub", eIsDir, "a file over a folder"},
		{"sub", "a", eNotDir, "a folder over a file"},
		{"a", "b", 0, "a file over a file"},
		{"a", "a", 0, "a file over itself"},
		{"a", "new", 0, "a file to a new name"},
		{"sub/", "new/", 0, "a folder, written with slashes"},
		{"a", "new/", eNotDir, "a file, written as a folder"},
		{"a/", "new", eNotDir, "likewise"},
		{"sub", "sub/deep", eInvalid, "a folder into itself"},
		{"none", "new", eNoEntry, "nothing"},
		{"a", "none/new", eNoEntry, "into nothing"},
		{"a", "b/new", eNotDir, "below a file"},
		{".", "new", eBusy, "the granted folder itself"},
		{"sub/..", "new", eBusy, "likewise"},
		{"a", "sub/.", eBusy, "to no name"},
	}
	for _, tt := range tests {
		folder := tempFolder(t, true)
		err := errors.Join(os.Mkdir(filepath.Join(folder.Path, "empty"), 0o700), os.WriteFile(filepath.Join(folder.Path, "b"), nil, 0o600))
		if err != nil {
			t.Fatal(err)
		}
		g := newGuest(t, Config{Folders: []Folder{folder}})
		if e := g.rename(tt.from, tt.to); e != tt.want {
			t.Errorf("rename %q to %q: got %v, want %v: %s", tt.from, tt.to, e, tt.want, tt.why)
		}
	}
}

// TestBetweenFolders has files move between open folders of one granted folder, however they
// were opened, and not between two granted ones.
func TestBetweenFolders(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, true), {Name: "other", Path: t.TempDir(), Write: true}}})
	const other = 4
	sub := g.opened("sub", isFolder, toRead)
	again := g.opened("sub", isFolder, toRead)
	link := func(fd1 uint64, from string, fd2 uint64, to string) []uint64 {
		a := g.two(fd1, from, fd2, to)
		return append([]uint64{a[0], 0}, a[1:]...)
	}
	tests := []struct {
		call string
		args []uint64
		want errno
	}{
		{"path_rename", g.two(3, "a", sub, "a"), 0},
		{"path_rename", g.two(sub, "a", again, "a2"), 0},
		{"path_link", link(again, "a2", 3, "a"), 0},
		{"path_link", link(3, "a", sub, "b"), eExist},
		{"path_rename", g.two(3, "a", other, "a"), eCross},
		{"path_link", link(sub, "b", other, "b"), eCross},
		{"path_rename", g.two(sub, "../a", 3, "x"), eNotCapable},
		{"fd_close", []uint64{3}, 0},
		{"path_rename", g.two(sub, "b", again, "c"), 0},
	}
	for _, tt := range tests {
		if e := g.call(tt.call, tt.args...); e != tt.want {
			t.Errorf("%s%v: got %v, want %v", tt.call, tt.args, e, tt.want)
		}
	}
}

// TestManyNamesAreCopied has a folder with more names than are looked at be for the guest to
// copy, and only where it comes nearer to the granted one.
func TestManyNamesAreCopied(t *testing.T) {
	folder := tempFolder(t, true)
	big := filepath.Join(folder.Path, "sub", "big")
	if err := os.Mkdir(big, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range maxNames {
		if err := os.Link(filepath.Join(folder.Path, "a"), filepath.Join(big, strings.Repeat("x", i%100+1)+string(rune('a'+i/100%26))+string(rune('a'+i/2600)))); err != nil {
			t.Fatal(err)
		}
	}
	g := newGuest(t, Config{Folders: []Folder{folder}})
	if e := g.rename("sub/big", "big"); e != eCross {
		t.Errorf("to a higher place: got %v, want %v", e, eCross)
	}
	if e := g.rename("sub/big", "sub/large"); e != 0 {
		t.Errorf("beside where it was: got %v, want success", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.ctx = ctx
	if _, err := g.try("path_rename", g.two(3, "sub/large", 3, "large")...); !errors.Is(err, context.Canceled) {
		t.Errorf("after its call ended: got %v, want it stopped", err)
	}
}

// TestLinksStayInsideAtOnce has guests move folders while others make and move links in them:
// whatever comes first, no link leads out.
func TestLinksStayInsideAtOnce(t *testing.T) {
	folder := tempFolder(t, true)
	m, err := Functions(Config{Folders: []Folder{folder}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(folder.Path, "d", "e"), 0o700); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		g := start(t, m)
		g.ctx = context.Background()
		rnd := rand.New(rand.NewPCG(seed, 0))
		places := []string{"d", "d/e", "e", "sub/e", "sub", "d/e/f"}
		wg.Go(func() {
			for range 300 {
				g.top = page
				a, b := places[rnd.IntN(len(places))], places[rnd.IntN(len(places))]
				switch rnd.IntN(4) {
				case 0:
					g.symlink(strings.Repeat("../", rnd.IntN(4))+"secret", a+"/x")
				case 1:
					g.rename(a+"/x", b+"/x")
				case 2:
					g.hardLink(a+"/x", b+"/x")
				case 3:
					g.rename(a, b)
				}
			}
		})
	}
	wg.Wait()
	if out := leadOut(t, folder.Path); out != nil {
		t.Error(out)
	}
}

// FuzzStays holds that a link which is said to stay does, on the host's own reading of it.
func FuzzStays(f *testing.F) {
	for _, target := range []string{"a", "..", "../", "../../secret", "a/../../secret", "/etc", "./../x", "..//..//x", "", ".", "a/..", "...", "../..a"} {
		f.Add(target, uint8(1))
	}
	f.Fuzz(func(t *testing.T, target string, depth uint8) {
		if !stays(target, int(depth)) {
			return
		}
		at := strings.Repeat("d/", int(depth))
		if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(".", at+target)) && at+target != "" {
			t.Errorf("%q stays at depth %d, and leads to %q", target, depth, filepath.Join(at, target))
		}
	})
}
