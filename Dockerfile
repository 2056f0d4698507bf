# The `asr` command in a container. TORCH_INDEX is the package index of the torch build to install; torch's installation page
# names them. For a CPU:
#
#   docker build -t asr --build-arg TORCH_INDEX=URL_OF_THE_CPU_BUILDS .
#   docker run --rm --user "$(id -u)" -v "$PWD:/work" asr transcribe runs/mine/model recording.wav
#
# For a GPU give the index of the CUDA build that your driver supports, or none: the public index serves x86 Linux a CUDA build.
# It brings the CUDA libraries along; the host needs the driver and nvidia-container-toolkit:
#
#   docker build -t asr:cuda .
#   docker run --rm --gpus all --user "$(id -u)" -v "$PWD:/work" asr:cuda transcribe runs/mine/model recording.wav

ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/asr && /opt/asr/bin/pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch
COPY asr asr
COPY conf conf
COPY recipes recipes
COPY pretrained pretrained
RUN /opt/asr/bin/pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} '.[media,sentencepiece]'

FROM python:${PYTHON}-slim
COPY --from=build /opt/asr /opt/asr
RUN useradd --create-home --uid 1000 asr && mkdir /work && chown asr /work
USER 1000
WORKDIR /work
# a user given by `docker run --user` may have no home: numba and matplotlib keep what they compile in a folder open to all
ENV PATH=/opt/asr/bin:$PATH NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib
ENTRYPOINT ["asr"]
CMD ["--help"]
