package pipeline

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"time"
)

// API is the generation service. Every method makes one attempt and returns *Error; the engine decides what to
// try again. Implementations keep to the request rate by themselves and wait for their turn.
type API interface {
	// Quote asks for the price of one submit without making it.
	Quote(ctx context.Context, model string, payload json.RawMessage) (CU, error)

	// Submit buys. An error with Refused set proves that nothing was accepted; CodeSubmitLost says that it is
	// not known; there is no third kind. It is never retried below this call. last, which may be nil, is asked
	// at the last instant, when all waiting is over, whether it may; its error is passed on, with Refused set.
	Submit(ctx context.Context, model string, payload json.RawMessage, last func(context.Context) error) (Receipt, error)

	// Await returns the job once it has ended, however it ended. progress, which may be nil, is told of every
	// change (0 to 1). An error means that the job cannot be followed: credentials, project, or not found.
	Await(ctx context.Context, ref JobRef, progress func(float64)) (Job, error)

	// Jobs lists generation jobs newest first, back to the first one created before since, a page a time.
	// It may lag behind what was just submitted.
	Jobs(ctx context.Context, since time.Time) iter.Seq2[Job, error]

	// Assets describes assets, with URLs signed anew. An id the API does not know is absent from the map.
	Assets(ctx context.Context, ids []string) (map[string]Asset, error)

	// Upload makes an asset of a local file and returns its id.
	Upload(ctx context.Context, f File) (assetID string, err error)

	// Clock is the earliest that the API's own clock can read now, as far as its answers have told: what begins
	// from here on does not look older. Before any answer it is this machine's clock.
	Clock() time.Time

	// Learn tells how long a job of the model took, from submit to end, in an earlier run.
	Learn(model string, took time.Duration)

	// Expected is how long a job of the model typically takes; false when none has been seen.
	Expected(model string) (time.Duration, bool)
}

// A Receipt is the answer to a submit.
type Receipt struct {
	JobID string
	Cost  CU
	At    time.Time // when the API says the job was created
}

// A JobRef is what must be known of a job to follow it.
type JobRef struct {
	ID          string
	Model       string
	SubmittedAt time.Time
}

// JobState is a job's status, its many spellings made one.
type JobState string

const (
	JobRunning   JobState = "running"
	JobSucceeded JobState = "succeeded"
	JobFailed    JobState = "failed"
	JobCanceled  JobState = "canceled"
)

// A Job is one generation as the API describes it.
type Job struct {
	ID        string
	Model     string
	State     JobState
	Status    string // the API's own word
	Progress  float64
	AssetIDs  []string // each once, in the API's order
	Input     map[string]any
	Error     string // the API's words for what went wrong
	Hint      string // the API's words for what to do
	Cost      CU
	NoRefund  bool // a failure of this job keeps its price
	Moderated bool // it failed because the provider refuses the content
	CreatedAt time.Time
	UpdatedAt time.Time
}

// An Asset is one stored result (or reference) as the API describes it.
type Asset struct {
	ID       string
	URL      string // signed, temporary, secret: for the fetcher only
	MIME     string
	Kind     string // image, video, audio, 3d, ...
	Ready    bool   // false while the API is still processing it
	Broken   bool   // the API says that it failed
	Bytes    int64  // 0 when not told
	Width    int
	Height   int
	Duration float64 // seconds
	Text     string  // the beginning of a text asset
	TextCut  bool    // there is more of it

	// What its metadata says the model was given: for inputs it names, the asset ids, none when it names the input and
	// no asset. An input that is not in the map is one of which nothing is said.
	Consumed map[string][]string
	Parent   string // the asset it says it was made from; empty when it says none
}

// Fetcher turns an asset into bytes.
type Fetcher interface {
	// Open starts reading. The reader resumes by itself after cuts and stalls, asks fresh for a new URL when
	// the one it has is refused or about to expire, and returns io.EOF only when every byte announced has been
	// read. Bytes is the size, or -1 when nobody announced one.
	Open(ctx context.Context, a Asset, fresh func(context.Context) (Asset, error)) (body io.ReadCloser, bytes int64, err error)
}

// Inspector finds out what a file is from its own bytes, while they flow past.
type Inspector interface {
	// Sniff names the type by the first bytes of a file (at least 512 of them, or all there are); declared is
	// what the sender said, used only where the bytes do not tell. ext begins with a dot, or is empty.
	Sniff(head []byte, declared string) (mime, kind, ext string)

	// Inspect returns a writer to be given the whole file in order; facts may be asked once it has been.
	Inspect(mime string) (w io.Writer, facts func() Facts)

	// Examine is Inspect with a closer look: pictures are unpacked and sound is listened to, where the program knows
	// how. It takes time and, while facts is called, memory for the picture.
	Examine(mime string) (w io.Writer, facts func() Facts)
}

// Facts are what the bytes of a file tell; zero values are unknown.
type Facts struct {
	Width, Height int
	Duration      float64 // seconds
	Audio         *bool   // videos: whether there is a sound track

	Triangles, Materials *int  // 3D models
	Silent, Blank, Alpha *bool // see [Output]; only Examine finds them
}

// Store is a destination.
type Store interface {
	// URI is the address of the object under key, for people.
	URI(key string) string

	// Put stores body under key. The object appears whole or not at all; size is the number of bytes that
	// will come, or -1. A body that ends with an error leaves nothing. An existing object is replaced.
	Put(ctx context.Context, key string, body io.Reader, size int64, meta ObjectMeta) (Object, error)

	// List yields the objects whose keys begin with prefix.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Move renames an object; what is under to is replaced. It is how a replaced asset becomes history.
	Move(ctx context.Context, from, to string) error
}

// ObjectMeta goes with a stored object where the destination has room for it.
type ObjectMeta struct {
	ContentType string
	Values      map[string]string // lower-case names: item, model, job, fingerprint
}

// An Object is what a destination says of one stored object.
type Object struct {
	Key     string
	Bytes   int64
	Version string // changes when the bytes do
}

// Ledger keeps one durable record an item; it alone decides what is bought. Records belong to one realm (API base
// URL and project); those of others are never returned and never overwritten.
type Ledger interface {
	// Load returns every record of this realm. One that cannot be read is an entry with Damaged set.
	Load(ctx context.Context) (map[string]Entry, error)

	// Save writes a record durably if the one it replaces still has this version ("" for none yet), and returns
	// the new version. ErrConflict means that another run got there first.
	Save(ctx context.Context, r Record, version string) (string, error)

	// Input returns the asset id an input file was uploaded as, "" if it was not.
	Input(ctx context.Context, sha256 string) (string, error)

	// SaveInput remembers it.
	SaveInput(ctx context.Context, f File, assetID string) error
}

// An Entry is one record as it stands in the ledger.
type Entry struct {
	Record  Record
	Version string
	Damaged *Error
}
