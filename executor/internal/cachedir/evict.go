package cachedir

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Evict removes files and folders in dir whose names match pattern until they hold no
// more than most bytes, those modified longest ago first. Who uses one touches it. What
// a running process has mapped or open stays readable for it where the system is a
// Unix. Processes may share dir: what another one removed meanwhile is no error. It
// never removes the one that was modified last.
func Evict(dir *os.Root, pattern string, most int64) error {
	names, err := fs.Glob(dir.FS(), pattern)
	if err != nil {
		return err
	}
	var entries []entry
	var total int64
	for _, name := range names {
		e := entryOf(dir, name)
		entries = append(entries, e)
		total += e.size
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.used.Compare(b.used) })
	var errs []error
	for i := 0; i < len(entries)-1 && total > most; i++ {
		errs = append(errs, dir.RemoveAll(entries[i].name))
		total -= entries[i].size
	}
	return errors.Join(errs...)
}

// An entry is what [Evict] may remove.
type entry struct {
	name string
	size int64
	used time.Time
}

// entryOf looks at name and all below it. What cannot be read counts nothing.
func entryOf(dir *os.Root, name string) entry {
	e := entry{name: name}
	if info, err := dir.Lstat(name); err == nil {
		e.used = info.ModTime()
	}
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
