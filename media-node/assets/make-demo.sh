#!/bin/sh
# Makes demo.mp4 beside this script. Needs ffmpeg with libx264 and the DejaVu fonts (Debian:
# ffmpeg, fonts-dejavu-core).
#
# The loop lasts 16 s because there video and audio end together: 400 pictures at 25 a second,
# 8 GOPs of 2 s, and 750 AAC frames of 1024 samples at 48 kHz. The audio is cut from the second of
# three rounds, so that its first frame continues its last.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
font=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf
seconds=16

ffmpeg -v error -f lavfi -i "sine=frequency=220:beep_factor=4:sample_rate=48000:duration=$((seconds * 3))" \
    -filter:a "volume=0.5" -c:a aac -b:a 32k "$work/beep.adts"
# The encoder's first frame is its own delay: frame 751 is the first of the second round.
ffmpeg -v error -i "$work/beep.adts" -c copy -bsf:a "noise=drop=lt(n\,751)+gte(n\,1501)" "$work/loop.adts"

picture="testsrc2=size=1280x720:rate=25:duration=$seconds,boxblur=2,
    drawtext=fontfile=$font:text='Weir demo':fontsize=72:fontcolor=white:box=1:boxcolor=black@0.7:boxborderw=18:x=(w-tw)/2:y=h/2-110,
    drawtext=fontfile=$font:timecode='00\:00\:00\:00':rate=25:fontsize=72:fontcolor=white:box=1:boxcolor=black@0.7:boxborderw=18:x=(w-tw)/2:y=h/2+20,
    format=yuv420p"
for pass in 1 2; do
    ffmpeg -v error -y -f lavfi -i "$picture" -c:v libx264 -profile:v high -level:v 3.1 -preset veryslow -refs 4 -bf 0 \
        -g 50 -keyint_min 50 -sc_threshold 0 -b:v 395k -maxrate 900k -bufsize 1800k \
        -pass $pass -passlogfile "$work/pass" "$work/picture.mp4"
done
ffmpeg -v error -y -i "$work/picture.mp4" -i "$work/loop.adts" -map 0:v -map 1:a -c copy \
    -fflags +bitexact -movflags +faststart demo.mp4
