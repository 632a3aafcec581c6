#!/bin/sh
# Makes the clips the sandbox serves: H.264 (and AAC), a drifting gradient, SIMULATED across it, a time code
# burnt in. Needs Debian's ffmpeg and fonts-dejavu-core. Run by `go generate ./internal/sandbox`; the result is committed.
set -eu
cd "$(dirname "$0")"
bold=/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf
mono=/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf

clip() { # name width height seconds
	name=$1 w=$2 h=$3 seconds=$4
	short=$(( w < h ? w : h ))
	mask="color=c=black:s=${w}x${w}:r=24:d=$seconds,format=gray,drawtext=fontfile=$bold:text=SIMULATED:fontsize=$((short / 6)):fontcolor=0x707070:x=(w-tw)/2:y=(h-th)/2,rotate=-PI/7:c=black[mask]"
	mark="color=c=white:s=${w}x${w}:r=24:d=$seconds,format=rgba[white];[white][mask]alphamerge[mark]"
	base="gradients=s=${w}x${h}:r=24:d=$seconds:c0=0x14213d:c1=0x6d3b6e:c2=0x2a6f97:n=3:x0=0:y0=0:x1=$w:y1=$h:seed=7:speed=0.012[base]"
	code="drawtext=fontfile=$mono:text='dailies sandbox  %{pts\\:hms}':fontsize=$((short / 16)):fontcolor=white:box=1:boxcolor=black@0.55:boxborderw=6:x=(w-tw)/2:y=h-th-$((short / 14))"
	video="$mask;$mark;$base;[base][mark]overlay=(W-w)/2:(H-h)/2,$code,format=yuv420p[v]"
	# Two soft notes a fifth apart that fade: audible, and plainly not the model's.
	sound="aevalsrc=0.22*sin(2*PI*220*t)*exp(-1.2*mod(t\\,1))+0.16*sin(2*PI*329.63*t)*exp(-1.6*mod(t\\,1)):s=44100:d=$seconds[a]"
	encode="-c:v libx264 -profile:v high -preset veryslow -crf 31 -g 48 -threads 1 -fflags +bitexact -flags:v +bitexact -map_metadata -1 -movflags +faststart"
	ffmpeg -v error -y -filter_complex "$video;$sound" -map '[v]' -map '[a]' $encode -c:a aac -b:a 48k -ac 1 -flags:a +bitexact "$name-sound.mp4"
	ffmpeg -v error -y -i "$name-sound.mp4" -map 0:v -c copy -an -fflags +bitexact -map_metadata -1 -movflags +faststart "$name-silent.mp4"
}

for seconds in 2 4; do
	clip "16x9-${seconds}s" 640 360 $seconds
	clip "9x16-${seconds}s" 360 640 $seconds
	clip "1x1-${seconds}s" 480 480 $seconds
done

# The thumbnail that 3D models list before their mesh.
ffmpeg -v error -y -f lavfi -i "gradients=s=256x256:d=1:c0=0x14213d:c1=0xe08e45:n=2:x0=0:y0=0:x1=256:y1=256:seed=7" -frames:v 1 \
	-vf "drawtext=fontfile=$bold:text=SIMULATED:fontsize=34:fontcolor=white@0.8:x=(w-tw)/2:y=(h-th)/2,format=yuv420p" \
	-c:v libwebp -lossless 0 -quality 60 -fflags +bitexact thumbnail.webp
