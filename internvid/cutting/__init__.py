"""Cuts clips out of video files, as files of their own: encoded again to the frame, or copied from a key frame on."""
