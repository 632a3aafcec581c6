// Command s3server is the S3 server that tests run against: versitygw over a folder. It is a module of its own so
// that its dependencies are not the program's.
//
// It listens on 127.0.0.1 only, prints its URL on a line of standard output once it answers, and ends when its
// standard input is closed, so that it never outlives the test that started it. Credentials come from ROOT_ACCESS_KEY
// and ROOT_SECRET_KEY.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

func main() {
	root := flag.String("root", "", "folder that holds the buckets")
	cert := flag.String("cert", "", "PEM certificate; with -key, serve https")
	key := flag.String("key", "", "PEM private key")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		io.Copy(io.Discard, os.Stdin) // returns when the parent is gone
		stop()
	}()

	// The gateway has things of its own to say.
	out := os.Stdout
	os.Stdout = os.Stderr

	// A free port can be taken by somebody else before it is bound: then try another.
	err := error(syscall.EADDRINUSE)
	for attempt := 0; attempt < 5 && errors.Is(err, syscall.EADDRINUSE); attempt++ {
		err = serve(ctx, out, *root, *cert, *key)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "s3server:", err)
		os.Exit(1)
	}
}

// serve blocks until ctx ends. The gateway changes directory to root, so all paths must be absolute.
func serve(ctx context.Context, out io.Writer, root, cert, key string) error {
	attributes := meta.XattrMeta{}
	if err := attributes.Test(root); err != nil {
		return fmt.Errorf("%s: the file system keeps no extended attributes: %w", root, err)
	}
	backend, err := posix.New(root, attributes, posix.PosixOpts{CopyObjectThreshold: 5 << 30})
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	scheme := "http"
	if cert != "" {
		scheme = "https"
	}
	ready := func() { fmt.Fprintf(out, "%s://%s\n", scheme, address) }
	return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess:    os.Getenv("ROOT_ACCESS_KEY"),
		RootUserSecret:    os.Getenv("ROOT_SECRET_KEY"),
		Region:            cmp.Or(os.Getenv("AWS_REGION"), "us-east-1"),
		Ports:             []string{address},
		CertFile:          cert,
		KeyFile:           key,
		MaxConnections:    4096,
		MaxRequests:       4096,
		MultipartMaxParts: 10_000,
		KeepAlive:         true,
		Quiet:             true,
		S3Options:         []s3api.Option{s3api.WithOnListen(ready)},
	})
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
