package cachedir

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// keeps is for how long after its last use of anything an owner has a share of a folder.
const keeps = 24 * time.Hour

// Evict removes files and folders in dir whose names match pattern until they hold no
// more than most bytes. First go those that nobody has marked; then those of owners that have used nothing for a
// day; then, of the owner that has most, what it has not used for longest. So an owner that has no more than an equal
// share loses nothing to one that has more. What several owners have marked counts for each of them, and
// goes with the last one's mark.
//
// What a running process has mapped or open stays readable for it where the system is a
// Unix. Processes may share dir: what another one removed meanwhile is no error. Evict
// never removes what was used last.
func Evict(dir *os.Root, pattern string, most int64) error {
	entries, err := list(dir, pattern)
	if err != nil {
		return err
	}
	var total int64
	for _, e := range entries {
		total += e.size
	}
	var errs []error
	for total > most {
		i, j := next(entries, time.Now())
		if i < 0 {
			break
		}
		e := entries[i]
		if u := e.uses[j]; u.owner != "" {
			errs = append(errs, remove(dir, mark(u.owner, e.name)))
		}
		if e.uses = slices.Delete(e.uses, j, j+1); len(e.uses) == 0 {
			errs = append(errs, dir.RemoveAll(e.name))
			total -= e.size
		}
	}
	return errors.Join(errs...)
}

// remove removes a file. It may be gone.
func remove(dir *os.Root, name string) error {
	if err := dir.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// An entry is what [Evict] may remove.
type entry struct {
	name string
	size int64
	uses []use // what nobody has marked has one, of the owner ""
}

// A use is an owner's mark of an entry.
type use struct {
	owner string // as a mark names it
	at    time.Time
}

// list returns what is in dir and matches pattern. Marks of what is not there are removed once they are so old
// that nobody is about to put it there.
func list(dir *os.Root, pattern string) ([]*entry, error) {
	names, err := fs.Glob(dir.FS(), pattern)
	if err != nil {
		return nil, err
	}
	marks, err := fs.Glob(dir.FS(), "*"+markSuffix)
	if err != nil {
		return nil, err
	}
	var entries []*entry
	byName := map[string]*entry{}
	for _, name := range names {
		if !strings.HasSuffix(name, markSuffix) {
			e := entryOf(dir, name)
			entries, byName[name] = append(entries, e), e
		}
	}
	for _, m := range marks {
		name, owner, ok := parse(m)
		info, err := dir.Lstat(m)
		if !ok || err != nil {
			continue
		}
		if e := byName[name]; e != nil {
			e.uses = append(e.uses, use{owner, info.ModTime()})
		} else if _, err := dir.Lstat(name); errors.Is(err, fs.ErrNotExist) && time.Since(info.ModTime()) > keeps {
			_ = remove(dir, m)
		}
	}
	for _, e := range entries {
		if len(e.uses) == 0 {
			e.uses = []use{{at: modified(dir, e.name)}}
		}
	}
	return entries, nil
}

// entryOf looks at name and all below it. What cannot be read counts nothing.
func entryOf(dir *os.Root, name string) *entry {
	e := &entry{name: name}
	_ = fs.WalkDir(dir.FS(), name, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			e.size += info.Size()
		}
		return nil
	})
	return e
}

// modified returns when name was modified, the zero time when it is gone.
func modified(dir *os.Root, name string) (at time.Time) {
	if info, err := dir.Lstat(name); err == nil {
		at = info.ModTime()
	}
	return at
}

// An account is what an owner has: bytes, and the time of its last use.
type account struct {
	bytes int64
	seen  time.Time
}

// next returns the use that is to end first: the j-th of the i-th entry. It is -1 when only the last
// use of all is left.
func next(entries []*entry, now time.Time) (i, j int) {
	accounts := map[string]account{}
	var last use
	for _, e := range entries {
		for _, u := range e.uses {
			a := accounts[u.owner]
			a.bytes += e.size
			if u.at.After(a.seen) {
				a.seen = u.at
			}
			accounts[u.owner] = a
			if !u.at.Before(last.at) {
				last = u
			}
		}
	}
	i, j = -1, -1
	for k, e := range entries {
		for l, u := range e.uses {
			if u != last && (i < 0 || before(u, entries[i].uses[j], accounts, now) < 0) {
				i, j = k, l
			}
		}
	}
	return i, j
}

// before orders uses by which ends first.
func before(a, b use, accounts map[string]account, now time.Time) int {
	x, y := accounts[a.owner], accounts[b.owner]
	class := func(u use, of account) int {
		switch {
		case u.owner == "":
			return 0
		case now.Sub(of.seen) > keeps:
			return 1
		}
		return 2
	}
	c, d := class(a, x), class(b, y)
	if c != d {
		return cmp.Compare(c, d)
	}
	if c == 2 && x.bytes != y.bytes {
		return cmp.Compare(y.bytes, x.bytes)
	}
	return a.at.Compare(b.at)
}
