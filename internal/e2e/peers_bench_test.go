//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkPeers moves one asset of 1 GiB from the CDN to the S3 server with what people use for it, run by run beside
// the real binary. It needs curl, aws, aria2c and rclone; a tool that is missing is said, with how to get it.
//
//	make bench-peers
func BenchmarkPeers(b *testing.B) {
	if os.Getenv("DAILIES_PEERS") == "" {
		b.Skip("make bench-peers runs it")
	}
	const size = 1024 * mib
	to := places(b)[1]
	remote := append(os.Environ(), append(to.env, "RCLONE_CONFIG_PEER_TYPE=s3", "RCLONE_CONFIG_PEER_PROVIDER=Other", "RCLONE_CONFIG_PEER_ENV_AUTH=true",
		"RCLONE_CONFIG_PEER_FORCE_PATH_STYLE=true", "RCLONE_CONFIG_PEER_REGION="+to.s3.Region, "RCLONE_CONFIG_PEER_ENDPOINT="+to.s3.Endpoint, "RCLONE_CONFIG=/dev/null")...)
	remote = slices.DeleteFunc(remote, func(pair string) bool { // empty ones, and a bundle rclone cannot use
		return strings.HasSuffix(pair, "=") || strings.HasPrefix(pair, "AWS_CA_BUNDLE=") || strings.HasPrefix(pair, "AWS_PROFILE=")
	})
	peers := []struct {
		name   string
		needs  []string
		script string // $URL to $KEY in $BUCKET, by way of $DIR
	}{
		{"curl+aws-s3-cp", []string{"curl", "aws"}, `curl -sf "$URL" | aws --endpoint-url "$AWS_ENDPOINT_URL_S3" s3 cp --only-show-errors - "s3://$BUCKET/$KEY" --expected-size ` + fmt.Sprint(size)},
		{"aria2+rclone", []string{"aria2c", "rclone"}, `aria2c -q -x8 -d "$DIR" -o asset "$URL" && rclone copyto "$DIR/asset" "peer:$BUCKET/$KEY"`},
		{"rclone-copyurl", []string{"rclone"}, `rclone copyurl "$URL" "peer:$BUCKET/$KEY"`},
	}
	s := openStudio(b, size)
	path := manifestOf(b, 1)
	report := func(b *testing.B, u usage) {
		b.ReportMetric(size/mib/seconds(u.wall, b.N), "MiB/s")
		b.ReportMetric(seconds(u.cpu, b.N), "CPU-s")
		b.ReportMetric(u.peak, "peak-MiB")
	}
	b.Run("dailies", func(b *testing.B) {
		var used usage
		for b.Loop() {
			output, clear := to.next()
			s.make(b, path, output)
			s.first.Store(0)
			u := spend(b, s.ours(b, to.env, "run", path, "--output", output, "--yes", "--progress", "none"))
			u.wall = u.ended.Sub(time.Unix(0, s.first.Load()))
			used.add(u)
			clear()
		}
		report(b, used)
	})
	for _, peer := range peers {
		b.Run(peer.name, func(b *testing.B) {
			for _, tool := range peer.needs {
				if _, err := exec.LookPath(tool); err != nil {
					b.Skipf("%s is not installed: apt-get install curl awscli aria2 rclone", tool)
				}
			}
			var used usage
			for b.Loop() {
				output, clear := to.next()
				link := s.make(b, path, output)[0]
				cmd := exec.CommandContext(b.Context(), "sh", "-c", peer.script)
				cmd.Env = append(remote, "URL="+link, "BUCKET="+to.s3.Bucket, "KEY="+filepath.Base(output)+"/asset", "DIR="+b.TempDir())
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				used.add(spend(b, cmd))
				clear()
			}
			report(b, used)
		})
	}
}

// crowdPeak is the sum of the peaks of all processes of a group that live.
func crowdPeak(group int) (sum float64) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(data), ") ")
		var state string
		var parent, pgrp, pid int
		fmt.Sscan(after, &state, &parent, &pgrp)
		if pgrp == group {
			fmt.Sscan(filepath.Base(filepath.Dir(name)), &pid)
			sum += peakOf(pid)
		}
	}
	return sum
}
