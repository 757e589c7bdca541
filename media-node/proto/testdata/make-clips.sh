#!/bin/sh
# Makes the clips beside this script. Needs ffmpeg with libx264 and libx265.
set -eu
cd "$(dirname "$0")"
source="-f lavfi -i testsrc=size=320x180:rate=25:duration=4 -f lavfi -i sine=frequency=440:sample_rate=48000:duration=4"
mux="-c:a aac -b:a 24k -pix_fmt yuv420p -fflags +bitexact -flags:v +bitexact -flags:a +bitexact"

# moov at the end, B-frames, an edit list for either track
ffmpeg -v error -y $source -c:v libx264 -profile:v high -g 25 -bf 2 -sc_threshold 0 -crf 34 $mux clip_h264_aac.mp4
# moov first, parameter sets in band too (hev1)
ffmpeg -v error -y $source -c:v libx265 -tag:v hev1 -crf 38 \
    -x265-params keyint=25:min-keyint=25:scenecut=0:bframes=2:open-gop=0:repeat-headers=1:log-level=error \
    $mux -movflags +faststart clip_h265_aac.mp4
