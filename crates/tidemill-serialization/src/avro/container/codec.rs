//! [`Codec`]: how the blocks of a file are compressed.

use std::io::Read;

use crate::avro::error::AvroError;

/// How the blocks of a file are compressed.
///
/// ```
/// use tidemill_serialization::avro::container::Codec;
///
/// assert_eq!(Codec::default(), Codec::Null);
/// assert_eq!(Codec::of_name("deflate")?, Codec::Deflate);
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// Not at all.
    #[default]
    Null,
    /// Deflate, without a header.
    Deflate,
    /// Snappy, followed by a checksum.
    Snappy,
    /// Zstandard.
    Zstandard,
}

impl Codec {
    /// All of them.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::Codec;
    ///
    /// assert!(Codec::ALL.iter().all(|codec| Codec::of_name(codec.name()).ok() == Some(*codec)));
    /// ```
    pub const ALL: [Self; 4] = [Self::Null, Self::Deflate, Self::Snappy, Self::Zstandard];

    /// As it is called in files.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::Codec;
    ///
    /// assert_eq!(Codec::Zstandard.name(), "zstandard");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
            Self::Zstandard => "zstandard",
        }
    }

    /// The codec of this name.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::Codec;
    ///
    /// assert_eq!(Codec::of_name("snappy")?, Codec::Snappy);
    /// assert!(Codec::of_name("lzo").is_err());
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When it is not supported.
    pub fn of_name(name: &str) -> Result<Self, AvroError> {
        Self::ALL.into_iter().find(|codec| codec.name() == name).ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            AvroError::container(format!("its codec {name:?} is not supported, only: {all}"))
        })
    }

    pub(super) fn compress(self, data: &[u8]) -> Result<Vec<u8>, AvroError> {
        match self {
            Self::Null => Ok(data.to_vec()),
            Self::Deflate => {
                let mut encoder = flate2::read::DeflateEncoder::new(data, flate2::Compression::default());
                let mut out = Vec::new();
                encoder.read_to_end(&mut out)?;
                Ok(out)
            }
            Self::Snappy => {
                let compressed = snap::raw::Encoder::new().compress_vec(data);
                let mut out = compressed.map_err(|error| AvroError::container(error.to_string()))?;
                out.extend_from_slice(&crc32fast::hash(data).to_be_bytes());
                Ok(out)
            }
            Self::Zstandard => Ok(zstd::bulk::compress(data, zstd::DEFAULT_COMPRESSION_LEVEL)?),
        }
    }

    /// Decompresses a block, to at most `limit` bytes, into `out`.
    pub(super) fn decompress(self, data: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), AvroError> {
        out.clear();
        let too_large = || {
            AvroError::container(format!(
                "a block has more than {limit} bytes decompressed: raise the limit if the file can be trusted"
            ))
        };
        let damaged = |error: String| AvroError::container(format!("a block is damaged: {error}"));
        match self {
            Self::Null => out.extend_from_slice(data),
            Self::Deflate => {
                let decoder = flate2::read::DeflateDecoder::new(data);
                decoder
                    .take(limit as u64 + 1)
                    .read_to_end(out)
                    .map_err(|error| damaged(error.to_string()))?;
            }
            Self::Snappy => {
                let Some((compressed, checksum)) = data.split_last_chunk::<4>() else {
                    return Err(damaged("it has no checksum".to_owned()));
                };
                let length =
                    snap::raw::decompress_len(compressed).map_err(|error| damaged(error.to_string()))?;
                if length > limit {
                    return Err(too_large());
                }
                // Three bytes of a copy stand for 64 at most.
                if length / 64 > compressed.len() {
                    return Err(damaged(format!("{} bytes cannot become {length}", compressed.len())));
                }
                out.resize(length, 0);
                let decoded = snap::raw::Decoder::new().decompress(compressed, out);
                let length = decoded.map_err(|error| damaged(error.to_string()))?;
                out.truncate(length);
                if crc32fast::hash(out) != u32::from_be_bytes(*checksum) {
                    return Err(damaged("its checksum is wrong".to_owned()));
                }
            }
            Self::Zstandard => {
                let mut decoder = zstd::stream::read::Decoder::new(data)?;
                // Memory for the window is taken before anything is seen.
                decoder.window_log_max(limit.max(1).ilog2().clamp(20, 27))?;
                decoder
                    .take(limit as u64 + 1)
                    .read_to_end(out)
                    .map_err(|error| damaged(error.to_string()))?;
            }
        }
        match out.len() > limit {
            true => Err(too_large()),
            false => Ok(()),
        }
    }
}
