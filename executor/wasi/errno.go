package wasi

import (
	"errors"
	"io/fs"
	"strconv"
	"syscall"
)

// An errno is what WASI functions answer with. The numbers are the standard's.
type errno uint16

const (
	eAccess      errno = 2
	eBadFD       errno = 8
	eBusy        errno = 10
	eQuota       errno = 19
	eExist       errno = 20
	eFault       errno = 21
	eTooBig      errno = 22
	eSequence    errno = 25
	eInterrupted errno = 27
	eInvalid     errno = 28
	eIO          errno = 29
	eIsDir       errno = 31
	eLoop        errno = 32
	eManyFiles   errno = 33
	eManyLinks   errno = 34
	eLongName    errno = 37
	eHostFiles   errno = 41
	eNoEntry     errno = 44
	eNoMemory    errno = 48
	eNoSpace     errno = 51
	eNoSys       errno = 52
	eNotDir      errno = 54
	eNotEmpty    errno = 55
	eNotSocket   errno = 57
	eNotSup      errno = 58
	eOverflow    errno = 61
	ePermission  errno = 63
	eReadOnly    errno = 69
	eSeek        errno = 70
	eBusyText    errno = 74
	eCross       errno = 75
	eNotCapable  errno = 76
)

func (e errno) Error() string { return "WASI errno " + strconv.Itoa(int(e)) }

// hostErrnos are the errors of the host's system that mean something to a guest.
var hostErrnos = []struct {
	host  syscall.Errno
	guest errno
}{
	{syscall.ENOENT, eNoEntry}, {syscall.EEXIST, eExist}, {syscall.EACCES, eAccess}, {syscall.EPERM, ePermission},
	{syscall.EBADF, eBadFD}, {syscall.EINVAL, eInvalid}, {syscall.EISDIR, eIsDir}, {syscall.ENOTDIR, eNotDir},
	{syscall.ENOTEMPTY, eNotEmpty}, {syscall.ENOSPC, eNoSpace}, {syscall.EDQUOT, eQuota}, {syscall.EFBIG, eTooBig},
	{syscall.EROFS, eReadOnly}, {syscall.EXDEV, eCross}, {syscall.ELOOP, eLoop}, {syscall.ENAMETOOLONG, eLongName},
	{syscall.EMFILE, eHostFiles}, {syscall.ENFILE, eHostFiles}, {syscall.EMLINK, eManyLinks}, {syscall.EBUSY, eBusy},
	{syscall.ETXTBSY, eBusyText}, {syscall.EINTR, eInterrupted}, {syscall.ENOMEM, eNoMemory}, {syscall.ENOTSUP, eNotSup},
}

// portableErrnos are those that each platform has in its own form.
var portableErrnos = []struct {
	host  error
	guest errno
}{
	{fs.ErrNotExist, eNoEntry}, {fs.ErrExist, eExist}, {fs.ErrPermission, eAccess},
	{fs.ErrClosed, eBadFD}, {fs.ErrInvalid, eInvalid}, {errors.ErrUnsupported, eNotSup},
}

// errnoOf returns err as the guest is told it.
func errnoOf(err error) errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(errno); ok {
		return e
	}
	var number syscall.Errno
	numbered := errors.As(err, &number)
	if numbered {
		for _, e := range hostErrnos {
			if number == e.host {
				return e.guest
			}
		}
	}
	for _, e := range portableErrnos {
		if errors.Is(err, e.host) {
			return e.guest
		}
	}
	if numbered {
		return eIO
	}
	// An os.Root makes errors that have no number of one kind: a link on the way
	// leads out of the folder.
	return eNotCapable
}
