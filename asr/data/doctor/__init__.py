"""What can only be known of recordings and transcripts by hearing and comparing them; `asr.data.check` calls it."""
