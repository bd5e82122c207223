package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/bungee-xr/bungee/internal/cgroup"
)

// leastTotal is the least memory that a host is started with, in bytes.
const leastTotal = 128 << 20

// memoryTotal returns how much memory the process may take, in bytes: what --memory-total says,
// or what this machine and its control groups allow less a reserve for others.
func memoryTotal(flagMiB int64, log *slog.Logger) int64 {
	if flagMiB != 0 {
		return flagMiB << 20
	}
	all, from, err := cgroup.Memory("")
	if err != nil {
		log.Warn("memory: 2 GiB are assumed, set --memory-total", "why", err)
		return 2 << 30
	}
	total := lessReserve(all)
	log.Info("memory", "total_mib", total>>20, "of_mib", all>>20, "limited_by", from)
	return total
}

// lessReserve leaves an eighth of all to others: the kernel's buffers, the rest of the machine.
func lessReserve(all int64) int64 { return max(all-all/8, leastTotal) }

// buffersOf returns how much of a total is for what is held for UEs beside instances. The other
// half is for instances, modules, and what Go's collector has not collected yet.
func buffersOf(total int64) int64 { return total / 2 }

// mostConnections is how many connections a host has at most if nothing is said.
const mostConnections = 4096

// connectionsFor returns how many connections UEs may have if the process may have so many
// descriptors open, 0 for unknown. Each connection takes one, over TCP or for its lifeline; a quarter
// is left to modules, folders, what guests connect to, and UEs that are about to prove who
// they are.
func connectionsFor(descriptors uint64) int {
	if descriptors == 0 {
		return mostConnections
	}
	return int(min(mostConnections, max(1, descriptors/4*3)))
}

// limitHeap has Go collect harder when the process comes near its total. GOMEMLIMIT in the
// environment is the operator's word and stays.
func limitHeap(total int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(total)
	}
}
