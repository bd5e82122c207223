package wasi

import (
	"context"

	"github.com/bungee-xr/bungee/executor"
)

// A function is one of the standard's. run returns nil, an errno, an error of the
// host's system, which the guest is told as an errno, or a trap.
type function struct {
	name, params, results string
	run                   func(in *instance, c call) error
}

// functions are all of wasi_snapshot_preview1, so that any module links. They have
// their parameters as letters, see executor.HostFunc.
var functions = []function{
	{"args_get", "ii", "i", argsGet},
	{"args_sizes_get", "ii", "i", argsSizesGet},
	{"clock_res_get", "ii", "i", clockResGet},
	{"clock_time_get", "ili", "i", clockTimeGet},
	{"environ_get", "ii", "i", environGet},
	{"environ_sizes_get", "ii", "i", environSizesGet},
	{"fd_advise", "illi", "i", fdAdvise},
	{"fd_allocate", "ill", "i", fdAllocate},
	{"fd_close", "i", "i", fdClose},
	{"fd_datasync", "i", "i", fdSync},
	{"fd_fdstat_get", "ii", "i", fdFdstatGet},
	{"fd_fdstat_set_flags", "ii", "i", fdFdstatSetFlags},
	{"fd_fdstat_set_rights", "ill", "i", notSup},
	{"fd_filestat_get", "ii", "i", fdFilestatGet},
	{"fd_filestat_set_size", "il", "i", fdFilestatSetSize},
	{"fd_filestat_set_times", "illi", "i", fdFilestatSetTimes},
	{"fd_pread", "iiili", "i", fdPread},
	{"fd_prestat_dir_name", "iii", "i", fdPrestatDirName},
	{"fd_prestat_get", "ii", "i", fdPrestatGet},
	{"fd_pwrite", "iiili", "i", fdPwrite},
	{"fd_read", "iiii", "i", fdRead},
	{"fd_readdir", "iiili", "i", fdReaddir},
	{"fd_renumber", "ii", "i", fdRenumber},
	{"fd_seek", "ilii", "i", fdSeek},
	{"fd_sync", "i", "i", fdSync},
	{"fd_tell", "ii", "i", fdTell},
	{"fd_write", "iiii", "i", fdWrite},
	{"path_create_directory", "iii", "i", pathCreateDirectory},
	{"path_filestat_get", "iiiii", "i", pathFilestatGet},
	{"path_filestat_set_times", "iiiilli", "i", pathFilestatSetTimes},
	{"path_link", "iiiiiii", "i", pathLink},
	{"path_open", "iiiiillii", "i", pathOpen},
	{"path_readlink", "iiiiii", "i", pathReadlink},
	{"path_remove_directory", "iii", "i", pathRemoveDirectory},
	{"path_rename", "iiiiii", "i", pathRename},
	{"path_symlink", "iiiii", "i", pathSymlink},
	{"path_unlink_file", "iii", "i", pathUnlinkFile},
	{"poll_oneoff", "iiii", "i", pollOneoff},
	{"proc_exit", "i", "", procExit},
	{"proc_raise", "i", "i", noSys},
	{"random_get", "ii", "i", randomGet},
	{"sched_yield", "", "i", schedYield},
	{"sock_accept", "iii", "i", notSocket},
	{"sock_recv", "iiiiii", "i", notSocket},
	{"sock_send", "iiiii", "i", notSocket},
	{"sock_shutdown", "ii", "i", notSocket},
}

// host returns f for instance in.
func (f *function) host(in *instance) executor.HostFunc {
	return executor.HostFunc{Name: f.name, Params: f.params, Results: f.results,
		Call: func(ctx context.Context, mem executor.Memory, stack []uint64) error {
			err := f.run(in, call{ctx, mem, stack})
			if t, ok := err.(trap); ok {
				return t.error
			}
			stack[0] = uint64(errnoOf(err))
			return nil
		}}
}
