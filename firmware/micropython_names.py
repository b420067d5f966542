"""Names that MicroPython has in flash, for `rename.py`; `tests/firmware/test_names.py` holds them against a real one.

MICROPYTHON are those of attributes and methods, and nothing but Python code looks them up. SHARED may not be given to
anything of ours, nor taken from it: MicroPython looks them up itself, they are built in, or an ESP32 has them.
"""

MICROPYTHON = frozenset(
    """
AF_INET AF_INET6 AF_UNIX ARRAY AUTO ArgumentParser ArgumentTypeError B1000000 B115200 B1152000 B230400 B460800
B500000 B57600 B576000 B921600 B9600 BFINT16 BFINT32 BFINT8 BFUINT16 BFUINT32 BFUINT8 BF_LEN BF_POS BIG_ENDIAN
BytesIO CERT_NONE CERT_OPTIONAL CERT_REQUIRED CancelledError DeflateIO EACCES EADDRINUSE EAGAIN EALREADY EBADF
ECONNABORTED ECONNREFUSED ECONNRESET EEXIST EHOSTUNREACH EINPROGRESS EINVAL EIO EISDIR ENOBUFS ENODEV ENOENT ENOMEM
ENOTCONN EOPNOTSUPP EPERM ETIMEDOUT Event FLOAT32 FLOAT64 FrameBuffer FrameBuffer1 GS2_HMSB GS4_HMSB GS8 GZIP INT
INT16 INT32 INT64 INT8 IOBase IOQueue IP_ADD_MEMBERSHIP IP_DROP_MEMBERSHIP LITTLE_ENDIAN LONG LONGLONG Lock LockType
Loop MBEDTLS_VERSION MONO_HLSB MONO_HMSB MONO_VLSB MSG_DONTROUTE MSG_DONTWAIT MSG_PEEK MVLSB NATIVE OrderedDict
POLLERR POLLHUP POLLIN POLLOUT PROTOCOL_DTLS_CLIENT PROTOCOL_DTLS_SERVER PROTOCOL_TLS_CLIENT PROTOCOL_TLS_SERVER PTR
PinBase RAW RGB565 Response RingIO SHORT SOCK_DGRAM SOCK_RAW SOCK_STREAM SOL_SOCKET SO_BROADCAST SO_ERROR
SO_KEEPALIVE SO_LINGER SO_REUSEADDR SSLContext Server Signal SingletonGenerator Stream StreamReader StreamWriter
StringIO TCSANOW Task TaskQueue ThreadSafeFlag TimeoutError UINT UINT16 UINT32 UINT64 UINT8 ULONG ULONGLONG USHORT
VOID VfsFat VfsLfs1 VfsLfs2 VfsPosix VfsRom ZLIB a2b_base64 accept aclose acos acosh acquire add_argument addressof
aes allocate_lock allowed_mip_url_prefixes append appendleft argv asin asinh atan atan2 atanh atexit awrite
awritestr b2a_base64 bind blit bytearray_at byteorder bytes_at calcsize call_exception_handler ceil center choice
clear clock collect connect content copy copysign core cos cosh count crc32 create_task cur_task current_task decode
decrypt default_exception_handler degrees delete deque difference difference_update digest disable discard drain
dump dumps e ellipse enable encode encrypt endswith erf erfc errorcode event exc_info executable exit exp expm1
extend fabs factorial fileno fill fill_rect find floor flush fmod format frexp from_bytes fromhex fromkeys gamma
gather get get_ciphers get_event_loop get_exception_handler get_extra_info get_ident getaddrinfo getenv getrandbits
getvalue gmtime head heap_lock heap_unlock heapify heappop heappush hexlify hline idle implementation index
inet_ntop inet_pton inf insert install intersection intersection_update is_set isalpha isclose isdigit isdisjoint
isenabled isfinite isinf islower isnan isspace issubset issuperset isupper join kbd_intr ldexp lgamma libc_ver line
listdir listen load load_cert_chain load_verify_locations loads localtime locked log log10 log2 lower lstrip
makefile match maxsize md5 mem16 mem32 mem8 mem_alloc mem_current mem_free mem_info mem_peak mem_total mkfs mktime
modf modules namedtuple nan new_event_loop off on open_connection opt_level pack pack_into parse parse_args
parse_known_args partition patch path peek phase pi pixel polar poll poly popitem popleft post print_exception ps1
ps2 put putenv python_compiler qstr_info queue_read queue_write radians randint randrange rect recv recvfrom release
replace request reverse rfind rindex rpartition rsplit rstrip run run_forever run_until_complete schedule scroll
search seed seek sendall sendto sep set_ciphers set_exception_handler setblocking setdefault setraw setsockopt
settimeout sha1 sha256 sin sinh sizeof sleep sleep_ms sleep_us sockaddr soft_reset sort split splitlines sqrt
stack_size stack_use start_new_thread start_server startswith stderr stdin stdout stop stream stream_awrite strip
sub symmetric_difference symmetric_difference_update system tan tanh tau tcgetattr tcsetattr tell text threshold
ticks ticks_add ticks_cpu ticks_diff ticks_ms ticks_us time_ns time_pulse_us to_bytes trunc unhexlify uniform union
unlink unpack unpack_from unsetenv upper urandom usage verify_mode version version_info vline wait_closed wait_for
wait_for_ms wait_io_event wrap_socket
""".split()
)

SHARED = frozenset(
    """
ArithmeticError AssertionError AttributeError BaseException Counter EOFError Ellipsis Exception GeneratorExit HEAD
ImportError IndentationError IndexError KeyError KeyboardInterrupt LookupError MAGIC MemoryError NameError
NotImplemented NotImplementedError OSError OneWire OverflowError RuntimeError State StopAsyncIteration StopIteration
SyntaxError SystemExit TypeError UnicodeError ValueError ViperTypeError ZeroDivisionError _Arg _ArgError _P _apply
_attrs _check_exists _chunk _dequeue _dest_from_optnames _download_file _enqueue _ensure_path_exists _exc_context
_exc_handler _fields _hash _install_json _install_package _io_queue _parse_args _parse_args_impl _path
_promote_to_task _put _rewrite_url _run _serve _state _stop_task _stopper _task_queue _thread a abs add all any
argparse array asyncio attempts b base bin binascii bool builtins bytearray bytes callable callback channel chdir
chr classmethod client_id close cmath code collections compile complex config const constants crc8 cryptolib deflate
delattr deleter depth dict dir divmod enumerate errno eval exec execfile f feed filter float framebuf frozenset gc
getattr getcwd getter globals hasattr hash hashes hashlib heapq help hex high host id ilistdir input int io ioctl
isinstance issubclass items iter json keys left len length limit list locals low machine major map math max measure
memoryview message micropython min mip mkdir mount next note object oct offset open ord os other pend_throw pin
platform pop port position pow print property publish push qos random range raw re read readexactly readinto
readline reason remove rename repr requests reversed right rmdir round scan select self send seq set setattr setter
signed size slice socket sorted ssid ssl stat staticmethod statvfs step str struct subscribe sum super sync sys t
termios throw time tls topic total tuple type uctypes umount unwrap update username v value values verify vfs wait
waiting wake websocket write zip
""".split()
)
