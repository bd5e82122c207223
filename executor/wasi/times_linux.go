package wasi

import (
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timesOf returns when a file was last read, written, and changed in any way.
func timesOf(info fs.FileInfo) (accessed, modified, changed time.Time) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime(), info.ModTime(), info.ModTime()
	}
	return time.Unix(st.Atim.Unix()), info.ModTime(), time.Unix(st.Ctim.Unix())
}

// setLinkTimes sets when the link at p itself was last read and written. A zero time leaves it
// as it is.
func (p place) setLinkTimes(accessed, modified time.Time) error {
	at, err := p.spot()
	if err != nil {
		return err
	}
	defer at.parent.Close()
	times := []unix.Timespec{timespec(accessed), timespec(modified)}
	return unix.UtimesNanoAt(at.fd, at.name+at.slash, times, unix.AT_SYMLINK_NOFOLLOW)
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.NsecToTimespec(t.UnixNano())
}
