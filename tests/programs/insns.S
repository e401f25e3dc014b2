# One function per kind of instruction that matters when an instruction is executed somewhere else
# than where it was linked. uint64_t FUNCTION(uint64_t a, uint64_t b): the result must not depend on
# where code or stack are. The instruction in question carries the label site_FUNCTION.

.macro FUNCTION name
        .text
        .p2align 4
        .globl  \name
        .type   \name, @function
\name:
.endm
.macro SITE name
        .globl  site_\name
site_\name:
.endm
.macro END name
        ret
        .size   \name, .-\name
.endm

        .data
        .p2align 5
          .globl edge
edge:     .quad 0
scratch:  .quad 0
value:    .quad 0x1122334455667788
        .p2align 4
pair:     .quad 0, 0
vector:   .long 1, 2, 3, 4, 5, 6, 7, 8
pointer:  .quad helper
jump_to:  .quad after_jump_mem
from:     .ascii "the source of a string instruction, 64 bytes long, ends here: ."
          .byte 0
to:       .zero 64

        .text
helper: lea     7(%rdi,%rsi), %rax
        ret

# --- plain ---
FUNCTION plain_add
        mov     %rdi, %rax
SITE plain_add
        add     %rsi, %rax
END plain_add

FUNCTION nops
SITE nops
        nopw    0x200(%rax,%rax)
        mov     %rdi, %rax
END nops

FUNCTION endbr
SITE endbr
        endbr64
        mov     %rsi, %rax
END endbr

FUNCTION divide
        mov     %rdi, %rax
        xor     %edx, %edx
        or      $1, %rsi
SITE divide
        div     %rsi
        add     %rdx, %rax
END divide

FUNCTION fifteen_bytes
        mov     %rdi, %rax
SITE fifteen_bytes
        .byte   0x2e, 0x2e, 0x2e, 0x2e         # redundant prefixes
        addq    $0x12345678, scratch(%rip)     # 11 bytes more
        mov     scratch(%rip), %rax
        movq    $0, scratch(%rip)
END fifteen_bytes

FUNCTION thread_pointer
SITE thread_pointer
        mov     %fs:0, %rax
        sub     %fs:16, %rax
        add     %rdi, %rax
END thread_pointer

FUNCTION cpuid_leaf
        push    %rbx
        xor     %eax, %eax
        xor     %ecx, %ecx
SITE cpuid_leaf
        cpuid
        mov     %ebx, %eax
        pop     %rbx
END cpuid_leaf

# --- operands relative to the instruction pointer ---
FUNCTION rip_load
SITE rip_load
        mov     value(%rip), %rax
        add     %rdi, %rax
END rip_load

FUNCTION rip_store
SITE rip_store
        mov     %rdi, scratch(%rip)
        mov     scratch(%rip), %rax
        movq    $0, scratch(%rip)
END rip_store

FUNCTION rip_immediate
        mov     %rdi, scratch(%rip)
SITE rip_immediate
        addl    $0x12345678, scratch(%rip)
        mov     scratch(%rip), %rax
        movq    $0, scratch(%rip)
END rip_immediate

FUNCTION rip_lea
SITE rip_lea
        lea     value(%rip), %rax
        mov     (%rax), %rax
END rip_lea

FUNCTION rip_shift
        mov     %rdi, scratch(%rip)
        mov     %esi, %ecx
SITE rip_shift
        shlq    %cl, scratch(%rip)
        mov     scratch(%rip), %rax
        movq    $0, scratch(%rip)
END rip_shift

FUNCTION rip_cmpxchg16b
        push    %rbx
        mov     %rdi, pair(%rip)
        mov     %rsi, pair+8(%rip)
        mov     %rdi, %rax
        mov     %rsi, %rdx
        mov     $5, %ebx
        mov     $6, %ecx
SITE rip_cmpxchg16b
        lock cmpxchg16b pair(%rip)
        setz    %al
        movzbl  %al, %eax
        add     pair(%rip), %rax
        shl     $8, %rax
        add     pair+8(%rip), %rax
        pop     %rbx
END rip_cmpxchg16b

FUNCTION rip_lock
        mov     %rdi, scratch(%rip)
SITE rip_lock
        lock incq scratch(%rip)
        mov     scratch(%rip), %rax
        movq    $0, scratch(%rip)
END rip_lock

FUNCTION rip_xadd
        mov     %rdi, scratch(%rip)
        mov     %rsi, %rax
SITE rip_xadd
        lock xadd %rax, scratch(%rip)
        xor     scratch(%rip), %rax
        movq    $0, scratch(%rip)
END rip_xadd

FUNCTION rip_mul
        mov     %rdi, %rax
SITE rip_mul
        mulq    value(%rip)
        xor     %rdx, %rax
END rip_mul

FUNCTION rip_sse
        movd    %edi, %xmm1
SITE rip_sse
        paddd   vector(%rip), %xmm1
        movq    %xmm1, %rax
END rip_sse

FUNCTION rip_eip
        # 67h: relative to eip, wraps at 32 bits; reads nothing here, only the address is formed
SITE rip_eip
        lea     value(%eip), %rax
        lea     value(%rip), %rcx
        mov     %ecx, %ecx
        sub     %rcx, %rax
        add     %rdi, %rax
END rip_eip

# --- jumps ---
FUNCTION jump_short
        mov     %rdi, %rax
SITE jump_short
        jmp     1f
        inc     %rax
1:
END jump_short

FUNCTION jump_long
        mov     %rdi, %rax
SITE jump_long
        .byte   0xe9
        .long   1f - . - 4
        .fill   300, 1, 0x90
1:
END jump_long

FUNCTION jump_back
        mov     %rdi, %rax
        jmp     2f
        .fill   126, 1, 0x90
1:      add     $9, %rax
        jmp     3f
        .fill   100, 1, 0x90
2:
SITE jump_back
        jmp     1b
3:
END jump_back

FUNCTION jump_register
        mov     %rdi, %rax
        lea     1f(%rip), %rcx
SITE jump_register
        jmp     *%rcx
        inc     %rax
1:
END jump_register

FUNCTION jump_memory
        mov     %rdi, %rax
SITE jump_memory
        jmp     *jump_to(%rip)
        inc     %rax
after_jump_mem:
END jump_memory

.macro CONDITIONAL name, jump
FUNCTION \name
        xor     %eax, %eax
        cmp     %rsi, %rdi
SITE \name
        \jump   1f
        or      $1, %eax
1:      xor     $2, %eax
END \name
.endm
CONDITIONAL jump_e, je
CONDITIONAL jump_ne, jne
CONDITIONAL jump_l, jl
CONDITIONAL jump_ge, jge
CONDITIONAL jump_le, jle
CONDITIONAL jump_g, jg
CONDITIONAL jump_b, jb
CONDITIONAL jump_ae, jae
CONDITIONAL jump_be, jbe
CONDITIONAL jump_a, ja
CONDITIONAL jump_s, js
CONDITIONAL jump_ns, jns
CONDITIONAL jump_o, jo
CONDITIONAL jump_no, jno
CONDITIONAL jump_p, jp
CONDITIONAL jump_np, jnp

FUNCTION jump_e_long
        xor     %eax, %eax
        cmp     %rsi, %rdi
SITE jump_e_long
        je      1f
        or      $1, %eax
        .fill   200, 1, 0x90
1:      xor     $2, %eax
END jump_e_long

.macro COUNTED name, instruction
FUNCTION \name
        mov     %edi, %ecx
        and     $7, %ecx
        xor     %eax, %eax
        cmp     %rsi, %rdi
SITE \name
        \instruction   1f
        or      $64, %eax
1:      lea     (%rax,%rcx), %rax
END \name
.endm
COUNTED count_loop, loop
COUNTED count_loope, loope
COUNTED count_loopne, loopne
COUNTED count_jrcxz, jrcxz
COUNTED count_jecxz, jecxz
COUNTED count_loop32, "addr32 loop"

FUNCTION loop_backwards
        mov     %edi, %ecx
        and     $7, %ecx
        inc     %ecx
        xor     %eax, %eax
1:      add     %rsi, %rax
SITE loop_backwards
        loop    1b
END loop_backwards

# --- calls and returns ---
FUNCTION call_relative
        sub     $8, %rsp
SITE call_relative
        call    helper
        add     $8, %rsp
END call_relative

FUNCTION call_register
        sub     $8, %rsp
        lea     helper(%rip), %rax
SITE call_register
        call    *%rax
        add     $8, %rsp
END call_register

FUNCTION call_memory
        sub     $8, %rsp
SITE call_memory
        call    *pointer(%rip)
        add     $8, %rsp
END call_memory

FUNCTION call_stack
        lea     helper(%rip), %rax
        push    %rax
        push    %rax
        sub     $8, %rsp
SITE call_stack
        call    *8(%rsp)                # the operand is read before the push
        add     $24, %rsp
END call_stack

FUNCTION call_next
SITE call_next
        call    1f
1:      pop     %rax                    # the return address is the original one
        lea     1b(%rip), %rcx
        sub     %rcx, %rax
        add     %rdi, %rax
END call_next

FUNCTION return_plain
        mov     %rdi, %rax
        call    1f
        inc     %rax
        ret
1:
SITE return_plain
END return_plain

FUNCTION return_popping
        mov     %rdi, %rax
        push    %rax
        push    %rax
        call    1f
        ret
1:      inc     %rax
SITE return_popping
        ret     $16
        .size   return_popping, .-return_popping

FUNCTION leave_frame
        push    %rbp
        mov     %rsp, %rbp
        sub     $32, %rsp
        mov     %rdi, %rax
SITE leave_frame
        leave
END leave_frame

# --- the stack ---
FUNCTION push_register
SITE push_register
        push    %rdi
        pop     %rax
END push_register

FUNCTION push_rsp
        mov     %rsp, %rcx
SITE push_rsp
        push    %rsp
        pop     %rax
        sub     %rcx, %rax              # 0: the value before the push
        add     %rdi, %rax
END push_rsp

FUNCTION pop_rsp
        mov     %rsp, %rcx
        push    %rcx
SITE pop_rsp
        pop     %rsp
        mov     %rsp, %rax
        sub     %rcx, %rax
        mov     %rcx, %rsp
        add     %rdi, %rax
END pop_rsp

FUNCTION push_memory
        mov     %rdi, scratch(%rip)
SITE push_memory
        push    scratch(%rip)
        pop     %rax
        movq    $0, scratch(%rip)
END push_memory

FUNCTION pop_memory
        push    %rdi
SITE pop_memory
        pop     scratch(%rip)
        mov     scratch(%rip), %rax
        movq    $0, scratch(%rip)
END pop_memory

FUNCTION push_immediate
SITE push_immediate
        push    $-5
        pop     %rax
        add     %rdi, %rax
END push_immediate

FUNCTION push_word
SITE push_word
        pushw   %di
        xor     %eax, %eax
        popw    %ax
END push_word

FUNCTION push_flags
        cmp     %rsi, %rdi
SITE push_flags
        pushfq
        pop     %rax                    # with the trap flag in it, were it set
        and     $0xfd5, %rax
END push_flags

FUNCTION pop_flags
        mov     %rdi, %rax
        and     $0x8c5, %eax            # CF PF ZF SF OF
        push    %rax
SITE pop_flags
        popfq
        pushfq
        pop     %rax
        and     $0xfd5, %rax
        cld
END pop_flags

# --- string instructions ---
FUNCTION rep_movs
        lea     from(%rip), %rsi
        lea     to(%rip), %rdi
        mov     $60, %ecx
SITE rep_movs
        rep movsb
        mov     to+52(%rip), %rax
        add     %rcx, %rax
END rep_movs

FUNCTION rep_stos
        mov     %rdi, %rax
        lea     to(%rip), %rdi
        mov     $8, %ecx
SITE rep_stos
        rep stosq
        mov     to+56(%rip), %rax
        add     %rcx, %rax
END rep_stos

FUNCTION repne_scas
        mov     $',', %al
        lea     from(%rip), %rdi
        mov     $64, %ecx
SITE repne_scas
        repne scasb
        mov     %ecx, %eax
END repne_scas

FUNCTION repe_cmps
        lea     from(%rip), %rsi
        lea     from(%rip), %rdi
        mov     $64, %ecx
SITE repe_cmps
        repe cmpsb
        setz    %al
        movzbl  %al, %eax
        add     %rcx, %rax
END repe_cmps

FUNCTION rep_zero
        mov     %rdi, %rax
        lea     to(%rip), %rdi
        xor     %ecx, %ecx
SITE rep_zero
        rep stosb
        add     %rcx, %rax
END rep_zero

FUNCTION lods
        lea     from(%rip), %rsi
SITE lods
        lodsq
        lea     from+8(%rip), %rcx
        sub     %rcx, %rsi
        add     %rsi, %rax
END lods

# --- system calls ---
FUNCTION system_call
        push    %rbx
        mov     $39, %eax               # getpid
        xor     %ebx, %ebx
SITE system_call
        syscall
1:      lea     1b(%rip), %rdx
        sub     %rdx, %rcx              # 0: rcx is the original next address
        and     $0x100, %r11            # 0: no trap flag in r11
        mov     %rcx, %rax
        add     %r11, %rax
        pop     %rbx
END system_call

FUNCTION system_call_32
        push    %rbx
        mov     $20, %eax               # getpid of the 32-bit table
SITE system_call_32
        int     $0x80
        cmp     $1, %eax
        setg    %al
        movzbl  %al, %eax
        pop     %rbx
END system_call_32

FUNCTION stack_segment
        mov     %ss, %eax
SITE stack_segment
        mov     %eax, %ss               # blocks interrupts and traps until after the next one
        lea     1(%rdi), %rax
END stack_segment

FUNCTION return_far
        mov     %rsp, %rcx
        mov     %ss, %eax
        push    %rax
        push    %rcx
        pushfq
        mov     %cs, %eax
        push    %rax
        lea     1f(%rip), %rax
        push    %rax
SITE return_far
        iretq
        ud2
1:      sub     %rsp, %rcx              # 0
        lea     (%rdi,%rcx), %rax
END return_far

# --- faults: the handler in insns.c sees the original address ---
FUNCTION fault_ud2
SITE fault_ud2
        ud2
END fault_ud2

FUNCTION fault_divide
        xor     %ecx, %ecx
SITE fault_divide
        div     %ecx
END fault_divide

FUNCTION fault_load
SITE fault_load
        mov     0x18, %rax
END fault_load

FUNCTION fault_hlt
SITE fault_hlt
        hlt
END fault_hlt

FUNCTION fault_call
        mov     $0x18, %eax
SITE fault_call
        call    *(%rax)
END fault_call

FUNCTION fault_push
        mov     %rsp, %rcx
        mov     $0x1000, %esp
SITE fault_push
        push    %rdi
        mov     %rcx, %rsp
END fault_push

FUNCTION fault_jump
        mov     $0x28, %eax
SITE fault_jump
        jmp     *%rax                   # faults at its destination, not here
END fault_jump

FUNCTION fault_rep
        mov     edge(%rip), %rdi        # eight bytes before a page that is not there
        lea     from(%rip), %rsi
        mov     $64, %ecx
SITE fault_rep
        rep movsb
END fault_rep

FUNCTION trap_int3
SITE trap_int3
        int3
END trap_int3

FUNCTION trap_int1
SITE trap_int1
        .byte   0xf1
END trap_int1

# --- system calls that block: long raw_syscall(number, a, b, c) ---
        .globl  raw_syscall
        .type   raw_syscall, @function
raw_syscall:
        mov     %rdi, %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        mov     %rcx, %rdx
        xor     %r10d, %r10d
SITE raw_syscall
        syscall
        ret
        .size   raw_syscall, .-raw_syscall

        .section .note.GNU-stack,"",@progbits
