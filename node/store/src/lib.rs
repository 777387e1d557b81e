//! What a node keeps: journal, index, blobs, keys; all of it sealed.
