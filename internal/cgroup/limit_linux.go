package cgroup

// Limit limits a process to a share of a core: 0.25 is a quarter of one, 2 is
// two cores. It moves the process into a group named bungee-ue- and its number,
// and removes groups of that name whose processes are dead.
//
// The error says what is missing, rights or a cpu controller, and how to come
// by it; nothing has changed then. The caller closes the Group.
func Limit(share float64, opt Options) (*Group, error) { return limit(share, opt, kernel{}) }
