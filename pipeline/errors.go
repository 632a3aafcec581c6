package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Code names one way things go wrong. The set is closed: what users script against is in this table and nowhere else.
type Code string

const (
	CodeUsage             Code = "usage"
	CodeManifest          Code = "manifest_invalid"
	CodeModelUnknown      Code = "model_unknown"
	CodeNotAllowed        Code = "spending_not_allowed"
	CodePlanStale         Code = "plan_stale"
	CodeCredentialsNone   Code = "credentials_missing"
	CodeCredentials       Code = "credentials_refused"
	CodeProject           Code = "project_refused"
	CodePlan              Code = "plan_required"
	CodeInput             Code = "input_rejected"
	CodeNotFound          Code = "not_found"
	CodeRateLimited       Code = "rate_limited"
	CodeConcurrency       Code = "concurrency_limited"
	CodeCredits           Code = "credits_exhausted"
	CodeBudget            Code = "budget_exhausted"
	CodeAPIUnavailable    Code = "api_unavailable"
	CodeAPIUnreadable     Code = "api_unreadable"
	CodeQuoteBought       Code = "quote_bought"
	CodeSubmitLost        Code = "submit_lost"
	CodeGeneration        Code = "generation_failed"
	CodeModerated         Code = "moderated"
	CodeCanceled          Code = "canceled"
	CodeNoAssets          Code = "no_assets"
	CodeAssetFailed       Code = "asset_failed"
	CodeInputDropped      Code = "input_dropped"
	CodeRejected          Code = "rejected"
	CodeUpload            Code = "upload_failed"
	CodeURLExpired        Code = "url_expired"
	CodeDownload          Code = "download_failed"
	CodeCorrupt           Code = "download_corrupt"
	CodeDestination       Code = "destination_failed"
	CodeDestinationDenied Code = "destination_refused"
	CodeDiskFull          Code = "disk_full"
	CodeSource            Code = "source_failed"
	CodeLocked            Code = "batch_locked"
	CodeLedger            Code = "ledger_damaged"
	CodeLedgerMoved       Code = "ledger_conflict"
	CodeTooManyFailures   Code = "too_many_failures"
	CodeDeadline          Code = "deadline_reached"
	CodeInterrupted       Code = "interrupted"
	CodeInternal          Code = "internal"
)

// Traits is what a code means for the item, the run, the wallet and the caller.
type Traits struct {
	Retry    bool   // the same call may succeed later: try again within this run
	Again    bool   // the next run may buy the item anew without being told to
	StopsRun bool   // nothing more is bought once this is seen
	Charged  bool   // the API keeps its price
	Exit     int    // exit code of a run that this stopped, or of a run whose items failed with it
	Hint     string // what to do about it, where the error brings no better one
}

// Exit codes are a contract with the scripts that drive the program.
const (
	ExitDone        = 0
	ExitInternal    = 1
	ExitUsage       = 2
	ExitFailed      = 3
	ExitBudget      = 4
	ExitRefused     = 5
	ExitLocked      = 6
	ExitUnfinished  = 75
	ExitInterrupted = 130
	ExitTerminated  = 143
)

var traits = map[Code]Traits{
	CodeUsage:             {Exit: ExitUsage, StopsRun: true, Hint: "dailies --help lists the commands; dailies COMMAND --help lists its flags"},
	CodeManifest:          {Exit: ExitUsage, StopsRun: true, Hint: "nothing was spent; dailies validate MANIFEST lists every problem"},
	CodeModelUnknown:      {Exit: ExitUsage, StopsRun: true, Hint: "dailies models lists those it knows; dailies models ID --refresh asks the API for this one's contract"},
	CodeNotAllowed:        {Exit: ExitUsage, StopsRun: true, Hint: "set limits.budget in the manifest or --budget, or pass --yes; --sandbox rehearses for nothing"},
	CodePlanStale:         {Exit: ExitUsage, StopsRun: true, Hint: "nothing was spent; make the plan anew: dailies plan MANIFEST -o FILE"},
	CodeCredentialsNone:   {Exit: ExitRefused, StopsRun: true, Hint: "set SCENARIO_SDK_API_KEY and SCENARIO_SDK_API_SECRET, or rehearse for nothing with --sandbox"},
	CodeCredentials:       {Exit: ExitRefused, StopsRun: true, Hint: "check SCENARIO_SDK_API_KEY and SCENARIO_SDK_API_SECRET (Project settings > API Keys)"},
	CodeProject:           {Exit: ExitRefused, StopsRun: true, Hint: "check SCENARIO_PROJECT_ID: a key belongs to one project"},
	CodePlan:              {Exit: ExitFailed, Hint: "this model needs a higher Scenario plan; choose another model or change the plan"},
	CodeInput:             {Exit: ExitFailed, Hint: "change the payload as the API says; dailies models MODEL shows what it takes"},
	CodeNotFound:          {Exit: ExitFailed, Hint: "it is not in this project, or was deleted: check SCENARIO_PROJECT_ID and the id"},
	CodeRateLimited:       {Exit: ExitFailed, Retry: true, Again: true, Hint: "another program shares this project's 100 requests a minute; lower --requests-per-minute"},
	CodeConcurrency:       {Exit: ExitFailed, Retry: true, Again: true, Hint: "the team's generation slots are taken; run the same command again later"},
	CodeCredits:           {Exit: ExitRefused, StopsRun: true, Again: true, Hint: "buy creative units or raise the spending limit, then run the same command again"},
	CodeBudget:            {Exit: ExitBudget, Again: true, Hint: "raise limits.budget or --budget, then run the same command again: what is delivered is not bought twice"},
	CodeAPIUnavailable:    {Exit: ExitFailed, Retry: true, Again: true, Hint: "the API did not answer well; run the same command again later"},
	CodeAPIUnreadable:     {Exit: ExitFailed, Retry: true, Again: true, Hint: "something between here and the API answers in its stead (a proxy?); run the same command again later"},
	CodeQuoteBought:       {Exit: ExitInternal, StopsRun: true, Charged: true, Hint: "a price question started a paid job: stop using this version with this API and report it"},
	CodeSubmitLost:        {Exit: ExitUnfinished, Charged: true, Hint: "run the same command again: it looks for the job before it pays for another"},
	CodeGeneration:        {Exit: ExitFailed, Again: true, Hint: "the provider failed; run the same command again to try once more"},
	CodeModerated:         {Exit: ExitFailed, Hint: "reword the prompt or choose another model; the same prompt would be refused again"},
	CodeCanceled:          {Exit: ExitFailed, Again: true, Hint: "somebody canceled the job; run the same command again to make it anew"},
	CodeNoAssets:          {Exit: ExitFailed, Charged: true, Hint: "the job succeeded and made no files; see it in the Scenario web app"},
	CodeAssetFailed:       {Exit: ExitFailed, Charged: true, Hint: "the API lists the asset as broken; see the job in the Scenario web app"},
	CodeInputDropped:      {Exit: ExitFailed, Charged: true, Hint: "the API ignored an input it was given: compare the payload with dailies models MODEL, and see the asset in the Scenario web app; --retry input_dropped buys it again"},
	CodeRejected:          {Exit: ExitFailed, Charged: true, Hint: "the file is kept: look at it, then loosen expect:, change the prompt, or buy it anew with --retry rejected"},
	CodeUpload:            {Exit: ExitFailed, Again: true, Hint: "check the input file; run the same command again"},
	CodeURLExpired:        {Exit: ExitFailed, Retry: true, Again: true, Hint: "run the same command again: it asks for a fresh link"},
	CodeDownload:          {Exit: ExitFailed, Retry: true, Again: true, Charged: true, Hint: "the asset is kept by Scenario; run the same command again to fetch it, nothing is bought"},
	CodeCorrupt:           {Exit: ExitFailed, Retry: true, Again: true, Charged: true, Hint: "the bytes were not what was announced; run the same command again to fetch them, nothing is bought"},
	CodeDestination:       {Exit: ExitFailed, Retry: true, Again: true, Charged: true, Hint: "the asset is kept by Scenario; run the same command again to store it, nothing is bought"},
	CodeDestinationDenied: {Exit: ExitRefused, StopsRun: true, Again: true, Hint: "check the bucket's name, region and permissions (s3:PutObject, GetObject, DeleteObject, ListBucket), or the folder's"},
	CodeDiskFull:          {Exit: ExitRefused, StopsRun: true, Again: true, Hint: "free space or choose another --output, then run the same command again: nothing is bought twice"},
	CodeSource:            {Exit: ExitFailed, Again: true, Hint: "mend the item it takes its asset from; this one follows"},
	CodeLocked:            {Exit: ExitLocked, StopsRun: true, Hint: "wait for the other run to end"},
	CodeLedger:            {Exit: ExitFailed, Hint: "the record is not used and nothing is bought for this item: mend or delete the named file"},
	CodeLedgerMoved:       {Exit: ExitLocked, StopsRun: true, Again: true, Hint: "another run wrote this item's record: wait for it to end, then run the same command again"},
	CodeTooManyFailures:   {Exit: ExitFailed, StopsRun: true, Again: true, Hint: "mend what fails, or raise --max-failures"},
	CodeDeadline:          {Exit: ExitUnfinished, StopsRun: true, Again: true, Hint: "run the same command again: it collects what is still generating"},
	CodeInterrupted:       {Exit: ExitInterrupted, StopsRun: true, Again: true, Hint: "run the same command again: it goes on where this run stopped"},
	CodeInternal:          {Exit: ExitInternal, StopsRun: true, Again: true, Hint: "this is a defect in dailies: please report it"},
}

// Traits returns the table's row for the code; an unknown code is an internal error's.
func (c Code) Traits() Traits {
	if t, ok := traits[c]; ok {
		return t
	}
	return traits[CodeInternal]
}

// Codes lists the closed set, sorted.
func Codes() []Code {
	var cs []Code
	for c := range traits {
		cs = append(cs, c)
	}
	slices.Sort(cs)
	return cs
}

// An Error is a failure users can meet. Adapters make them, so that the engine need not know HTTP or S3;
// its text never holds a key, a secret, an Authorization header or a signed URL.
type Error struct {
	Code    Code
	Message string // what and where, lower case, no full stop
	Hint    string // what to do next; empty means the table's
	At      Position

	RetryAfter time.Duration // the peer's own wish; 0 when it named none
	Limit      int           // jobs in flight the API says it allows; 0 when it named none
	Refused    bool          // provably nothing was accepted: it never left, or was answered with a refusal

	Err error // the cause, for errors.Is and As; not part of the text
}

func (e *Error) Error() string {
	if e.At.Line > 0 {
		return fmt.Sprintf("%s: %s", e.At, e.Message)
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// HintText is what to do about the error.
func (e *Error) HintText() string {
	if e.Hint != "" {
		return e.Hint
	}
	return e.Code.Traits().Hint
}

// at returns the error with a place in the user's file, unless it has one.
func (e *Error) at(p Position) *Error {
	if e.At.Line > 0 {
		return e
	}
	placed := *e
	placed.At = p
	return &placed
}

// Errorf makes an Error; a %w operand is its cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// AsError returns err as an *Error; whatever is not one is internal.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeInternal, Message: err.Error(), Err: err}
}

// CodeOf returns the code of err, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}

// ErrConflict is returned by compare-and-swap writes that found another version than the one they were to replace.
var ErrConflict = errors.New("written by someone else meanwhile")
